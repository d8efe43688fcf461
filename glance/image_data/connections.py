"""Connections to sources: to the checked address, in plain or by TLS, heard with patience.

A connection serves one request. Sockets, select and ssl are those of the
process: green ones in a green process.
"""

import dataclasses
import http.client
import io
import socket
import ssl
import time
import urllib.parse

import urllib3.exceptions

from glance.domain import errors
from glance.domain.import_filter import mask
from glance.image_data.patience import Patience
from glance.image_data.pinned import Pinned, PinnedTLS, trust
from glance.image_data.proxies import Proxy, ProxyFailed, authority, basic

TICK = 2.0  # seconds of silence after which on_wait is called
MOST_ADDRESSES = 8  # that are tried of one host

_SAFE = "/%:=&?~#+!$,;'@()*[]"  # left as they are in a path; all else is percent-encoded
_TCP_CLOSE = 7  # state of a connection that was reset, see Linux' include/net/tcp_states.h


@dataclasses.dataclass(frozen=True)
class Means:
    """How a fetch connects and how long it waits; see sources.open(). Times in seconds.

    until  time.monotonic() at which it must be over
    """

    connect_timeout: float
    read_timeout: float
    total_timeout: float
    until: float
    minimum_rate: int
    proxy: Proxy | None
    ca_file: str | None
    on_wait: object

    def patience(self, name):
        return Patience(name, self.read_timeout, self.until, self.total_timeout, self.minimum_rate)


class Asking:
    """One request to one target, and the words for what can go wrong with it."""

    def __init__(self, address, target, means):
        self.name = mask(address)
        self.patience = means.patience(self.name)
        self._target = target
        self._means = means
        self._connection = None
        self._socket = None
        self._answer = None

    def answer(self, login, checkpoint=None):
        """Connect and ask; returns http.client's answer, its body still to come.

        login       user and password to send, or None
        checkpoint  the Checkpoint behind which to go on if it is still the same file
        """
        self._connect()
        headers = {'Accept-Encoding': 'identity', 'Connection': 'close', 'User-Agent': 'glance'}
        if login is not None:
            headers['Authorization'] = basic(login)
        if checkpoint is not None:
            headers |= {'Range': f'bytes={checkpoint.offset}-', 'If-Range': checkpoint.validator}
        with self.translated('before it answered'):
            self._connection.request('GET', self._wanted(headers), headers=headers)
            self._socket = self._connection.sock
            self._connection.sock = _Ear(self._socket, self.patience, self._means.on_wait)
            # Not urllib3's own: that one logs the whole address when a header is malformed.
            self._answer = answer = http.client.HTTPConnection.getresponse(self._connection)
        return answer

    def close(self):
        """Hang up. Idempotent."""
        if self._answer is not None:
            self._answer.close()
        if self._connection is not None:
            self._connection.close()
        if self._socket is not None:
            self._socket.close()

    def translated(self, when):
        """A context in which what libraries and system raise becomes SourceUnreachable.

        when  words for what had come by then
        """
        return _Translated(self.name, when)

    def _wanted(self, headers):
        """What to ask for: the path; of a proxy the whole address, with headers for it."""
        target = self._target
        path = ascii_only(target.path.encode())
        if self._means.proxy is None or target.scheme == 'https':
            return path
        headers.update(self._means.proxy.headers)
        return f'http://{authority(target.host, target.port)}{path}'

    def _connect(self):
        """To the first address that accepts; each gets its part of the time that is left."""
        target, means = self._target, self._means
        what = 'secure connection' if target.scheme == 'https' else 'connection'
        when = f'before it agreed to a {what}'
        until = time.monotonic() + min(means.connect_timeout, self.patience.remaining)
        places = target.addresses if means.proxy is None else means.proxy.addresses
        places = places[:MOST_ADDRESSES]
        for number, place in enumerate(places):
            share = max(until - time.monotonic(), 0.01) / (len(places) - number)
            if target.scheme == 'https':
                made = PinnedTLS(target.host, target.port, timeout=share)
                made.trust = trust(means.ca_file)
            else:
                made = Pinned(target.host, target.port, timeout=share)
            made.place, made.through = place, means.proxy
            self._connection = made
            try:
                with self.translated(when):
                    made.connect()
                    made.sock.settimeout(means.read_timeout)
                    return
            except errors.SourceUnreachable as error:
                made.close()
                last = error
        raise last


class _Ear:
    """Stands for a connected socket while its answer is read."""

    def __init__(self, heard, patience, on_wait):
        self._raw = _Hearing(heard, patience, on_wait)

    def makefile(self, *_args, **_options):
        return io.BufferedReader(self._raw, 16384)

    def settimeout(self, _seconds):
        pass  # _Hearing has its own

    def close(self):
        pass  # http.client closes its connection before it reads the body


class _Hearing(io.RawIOBase):
    """Reads a socket; says while nothing comes that it still waits.

    The one place through which all bytes of an answer come, its head included.
    """

    def __init__(self, heard, patience, on_wait):
        self._heard = heard
        self._patience = patience
        self._on_wait = on_wait
        self._tick = max(0.01, min(TICK, patience.read_timeout, patience.remaining))
        heard.settimeout(self._tick)

    def readable(self):
        return True

    def readinto(self, buffer):
        silent = 0
        began = time.monotonic()
        while True:
            try:
                count = self._heard.recv_into(buffer)
            except TimeoutError:
                silent += self._tick
                if silent >= self._patience.read_timeout:
                    raise
                self._patience.check()
                self._on_wait()
                continue
            if count == 0 and self._was_reset():
                raise ConnectionResetError
            self._patience.heard(count, time.monotonic() - began)
            return count

    def _was_reset(self):
        """Green sockets tell a reset as the end of the file, which a body without length has."""
        if isinstance(self._heard, ssl.SSLSocket) or not hasattr(socket, 'TCP_INFO'):
            return False  # TLS has an end of its own
        return self._heard.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE


class _Translated:
    """Turns what libraries and system say into one sentence."""

    def __init__(self, name, when):
        self._name = name
        self._when = when

    def __enter__(self):
        return self

    def __exit__(self, _kind, error, _traceback):
        known = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError, EOFError)
        if isinstance(error, known):
            raise errors.SourceUnreachable(self._sentence(error)) from None

    def _sentence(self, error):
        if isinstance(error, ProxyFailed):
            return f'{self._name} cannot be reached: {error}.'
        for cause in _causes(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                why = (cause.verify_message or 'it is not valid').rstrip('.')
                return f'The certificate of {self._name} is not trusted: {why}.'
            if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
                return f'{self._name} cannot be reached: no secure connection was agreed on.'
            if isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError):
                return f'{self._name} was silent for too long {self._when}.'
            if isinstance(cause, ConnectionRefusedError):
                return f'{self._name} cannot be reached: the connection was refused.'
            if isinstance(cause, ConnectionError | EOFError | ssl.SSLEOFError):
                return f'{self._name} broke the connection {self._when}.'
            if isinstance(cause, OSError):
                return f'{self._name} cannot be reached: there is no way to it.'
        return f'{self._name} did not answer as HTTP asks for, {self._when}.'


def _causes(error):
    """An error, and those it wraps, the innermost first."""
    chain = []
    while error is not None and error not in chain:
        chain.append(error)
        inner = [part for part in error.args if isinstance(part, Exception)]
        error = error.__cause__ or (inner[0] if inner else error.__context__)
    return reversed(chain)


def ascii_only(raw):
    """A path or Location as it may be sent: what is not ASCII is percent-encoded."""
    return urllib.parse.quote(raw, safe=_SAFE)
