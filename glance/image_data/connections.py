"""Connections to sources: to the checked address, in plain or by TLS, heard with patience.

A connection serves one request. Sockets, select and ssl are those of the
process: green ones in a green process.
"""

import base64
import functools
import http.client
import io
import socket
import ssl
import urllib.parse

import urllib3.connection
import urllib3.exceptions

from glance.domain import errors
from glance.domain.import_filter import mask

TICK = 2.0  # seconds of silence after which on_wait is called

_SAFE = "/%:=&?~#+!$,;'@()*[]"  # left as they are in a path; all else is percent-encoded
_TCP_CLOSE = 7  # state of a connection that was reset, see Linux' include/net/tcp_states.h


class Asking:
    """One request to one target, and the words for what can go wrong with it."""

    def __init__(self, address, target, read_timeout, on_wait):
        self.name = mask(address)
        self._target = target
        self._read_timeout = read_timeout
        self._on_wait = on_wait or (lambda: None)
        self._connection = None
        self._socket = None
        self._answer = None

    def answer(self, login, connect_timeout, ca_file):
        """Connect and ask; returns http.client's answer, its body still to come.

        login  user and password to send, or None
        """
        self._connect(connect_timeout, ca_file)
        headers = {'Accept-Encoding': 'identity', 'Connection': 'close', 'User-Agent': 'glance'}
        if login is not None:
            joined = ':'.join(login).encode()
            headers['Authorization'] = 'Basic ' + base64.b64encode(joined).decode()
        with self.translated('before it answered'):
            self._connection.request(
                'GET', ascii_only(self._target.path.encode()), headers=headers
            )
            self._socket = self._connection.sock
            self._connection.sock = _Ear(self._socket, self._read_timeout, self._on_wait)
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

    def _connect(self, timeout, ca_file):
        target = self._target
        what = 'secure connection' if target.scheme == 'https' else 'connection'
        when = f'before it agreed to a {what}'
        for place in target.addresses:
            if target.scheme == 'https':
                made = _PinnedTLS(target.host, target.port, timeout=timeout)
                made.trust = _trust(ca_file)
            else:
                made = _Pinned(target.host, target.port, timeout=timeout)
            made.place = place
            self._connection = made
            try:
                with self.translated(when):
                    made.connect()
                    made.timeout = self._read_timeout
                    return
            except errors.SourceUnreachable as error:
                made.close()
                last = error
        raise last


class _Pinning:
    """A connection to the address that was checked, whatever the name says now."""

    place = None

    def _new_conn(self):
        family = socket.AF_INET6 if ':' in self.place else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            made.settimeout(self.timeout)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.connect((self.place, self.port))
        except BaseException:
            made.close()
            raise
        return made


class _Pinned(_Pinning, urllib3.connection.HTTPConnection):
    pass


class _PinnedTLS(_Pinning, urllib3.connection.HTTPSConnection):
    trust = None

    def connect(self):
        """As urllib3 does it, but a green socket is closed when the handshake fails."""
        self.sock = self._new_conn()
        self.sock = self.trust.wrap_socket(
            self.sock,
            server_hostname=self.host,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
        )  # who cuts a body short cannot make it look whole
        self.sock.do_handshake()


class _Ear:
    """Stands for a connected socket while its answer is read."""

    def __init__(self, heard, read_timeout, on_wait):
        self._heard = heard
        self._raw = _Hearing(heard, read_timeout, on_wait)

    def makefile(self, *_args, **_options):
        return io.BufferedReader(self._raw, 65536)

    def settimeout(self, _seconds):
        pass  # _Hearing has its own

    def close(self):
        pass  # http.client closes its connection before it reads the body


class _Hearing(io.RawIOBase):
    """Reads a socket; says while nothing comes that it still waits.

    The one place through which all bytes of an answer come, its head included,
    so also the place for limits on the whole: time, rate.
    """

    def __init__(self, heard, read_timeout, on_wait):
        self._heard = heard
        self._read_timeout = read_timeout
        self._on_wait = on_wait
        self._tick = min(TICK, read_timeout)
        heard.settimeout(self._tick)

    def readable(self):
        return True

    def readinto(self, buffer):
        silent = 0
        while True:
            try:
                count = self._heard.recv_into(buffer)
            except TimeoutError:
                silent += self._tick
                if silent >= self._read_timeout:
                    raise
                self._on_wait()
                continue
            if count == 0 and self._was_reset():
                raise ConnectionResetError
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


@functools.cache
def _trust(ca_file):
    """The certificates to trust. Loading them costs tens of milliseconds: once per process."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context
