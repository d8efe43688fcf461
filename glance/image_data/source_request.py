"""One request to a source: it connects to a checked address, and reads the answer with limits.

The modules socket, select and ssl are those of the process, so in a green process
they are green.
"""

import contextlib
import dataclasses
import io
import socket
import ssl
import time
import types
import urllib.parse
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Self

from glance import interrupts
from glance.domain import errors, own_lack
from glance.domain.checkpoint import Rest
from glance.domain.fetch_limits import FetchLimits
from glance.domain.import_filter import FETCHABLE, Target, mask
from glance.image_data import certificates, patience, pinned_connection
from glance.image_data.http_response import Body, ChunkedBody, MalformedResponse, Response
from glance.image_data.proxies import Proxy, ProxyFailed, authority, basic_auth
from glance.image_data.transfer_limits import TransferLimits

# The context of waits that nobody counts.
UNCOUNTED: AbstractContextManager[None] = contextlib.nullcontext()

MAX_ADDRESSES = 8  # IP addresses of a host that are tried

# Characters of a path that are sent as they are. All others are percent-encoded.
_SAFE = "/%:=&?~#+!$,;'@()*[]"
# The state of a connection that was reset, see Linux' include/net/tcp_states.h.
_TCP_CLOSE = 7
# Errors of TLS that mean a broken connection.
_TLS_CUT = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


@dataclasses.dataclass(frozen=True)
class Fetch:
    """What all requests of one fetch, redirects included, have in common.

    limits          the operator's limits
    until           time.monotonic() at which the fetch must be over
    proxy           the resolved proxy, or None
    on_wait         called every few seconds while the source is silent
    accept_encoded  whether a response may say that its file is compressed
    waiting         the context of each wait for the source
    """

    limits: FetchLimits
    until: float
    proxy: Proxy | None
    on_wait: Callable[[], object]
    accept_encoded: bool = False
    waiting: AbstractContextManager[None] = UNCOUNTED

    def transfer_limits(self, name: str) -> TransferLimits:
        limits = self.limits
        return TransferLimits(
            name,
            limits.read_timeout,
            self.until,
            limits.total_timeout,
            limits.minimum_rate,
            limits.rate_window,
        )


class SourceRequest:
    """One request to one target, with messages for all that can go wrong.

    name    the masked URL
    limits  the TransferLimits of the connection
    """

    def __init__(self, url: str, target: Target, fetch: Fetch) -> None:
        self.name = mask(url)
        self.limits = fetch.transfer_limits(self.name)
        self._target = target
        self._fetch = fetch
        self._connected: socket.socket | None = None
        self._reader: io.BufferedReader | None = None

    def send(self, login: tuple[str, str] | None, rest: Rest | None = None) -> Response:
        """Connect and send the request. Returns the response, whose body is not read yet.

        login  user and password to send, or None
        rest   ask for these bytes only, if the file is still the same
        """
        self._connected = connected = patience.insist(self._connect, self._fetch.on_wait)
        head = self._head(login, rest)
        fetch = self._fetch
        with self.errors_translated('before it answered'):
            with interrupts.socket_call(connected):
                connected.sendall(head)
            timed = _TimedReader(connected, self.limits, fetch)
            self._reader = io.BufferedReader(timed, 16384)
            return Response(self._reader)

    def body(self, response: Response, length: int | None) -> Body | ChunkedBody:
        """The body of the response that send() returned; length as announced, or None."""
        assert self._reader is not None
        return ChunkedBody(self._reader) if response.is_chunked else Body(self._reader, length)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        if self._connected is not None:
            self._connected.close()

    def errors_translated(self, when: str) -> '_ErrorTranslation':
        """A context in which errors of libraries and of the system become SourceUnreachable.

        when  ends the sentence, for instance "after 5 bytes"
        """
        return _ErrorTranslation(self.name, when)

    def _head(self, login: tuple[str, str] | None, rest: Rest | None) -> bytes:
        """The request. To a proxy that reads it, it names the whole URL, and logs in."""
        target, proxy = self._target, self._fetch.proxy
        place = authority(target.host, target.port)
        path = ascii_only(target.path.encode())
        headers = {
            'Host': place,
            # Some servers refuse requests without it.
            'Accept': '*/*',
            'Accept-Encoding': 'identity',
            'Connection': 'close',
            'User-Agent': 'glance',
        }
        if target.scheme == 'http' and proxy is not None:
            path = f'http://{place}{path}'
            headers |= proxy.headers
        elif target.port == FETCHABLE[target.scheme]:
            headers['Host'] = place.rpartition(':')[0]
        if login is not None:
            headers['Authorization'] = basic_auth(login)
        if rest is not None:
            headers['Range'] = f'bytes={rest.offset}-'
            if rest.validator is not None:
                headers['If-Range'] = rest.validator
        lines = [f'GET {path} HTTP/1.1', *(f'{name}: {value}' for name, value in headers.items())]
        return '\r\n'.join([*lines, '', '']).encode('ascii')

    def _connect(self) -> socket.socket:
        """Connect to the first address that accepts. Each address gets a share of the time.

        Raises OSError for a lack of this process.
        """
        target, fetch = self._target, self._fetch
        what = 'secure connection' if target.scheme == 'https' else 'connection'
        when = f'before it agreed to a {what}'
        seconds = min(fetch.limits.connect_timeout, self.limits.remaining)
        until = time.monotonic() + seconds
        addresses = target.addresses if fetch.proxy is None else fetch.proxy.addresses
        addresses = addresses[:MAX_ADDRESSES]
        for number, ip in enumerate(addresses):
            share = max(until - time.monotonic(), 0.01) / (len(addresses) - number)
            try:
                with self.errors_translated(when), fetch.waiting:
                    connected = pinned_connection.connect(self._route(ip), share)
                    connected.settimeout(fetch.limits.read_timeout)
                    return connected
            except errors.SourceUnreachable as error:
                last = error
        raise last

    def _route(self, ip: str) -> pinned_connection.Route:
        target = self._target
        tls = None
        if target.scheme == 'https':
            tls = certificates.tls_context(self._fetch.limits.ca_file)
        return pinned_connection.Route(ip, target.host, target.port, self._fetch.proxy, tls)


class _TimedReader(io.RawIOBase):
    """Reads a socket, and calls on_wait while it is silent.

    All bytes of a response come through here, headers included.
    """

    def __init__(self, connected: socket.socket, limits: TransferLimits, fetch: Fetch) -> None:
        self._connected = connected
        self._limits = limits
        self._on_wait = fetch.on_wait
        self._waiting = fetch.waiting
        self._interruptible = interrupts.socket_call(connected)
        tick = fetch.limits.tick
        self._tick = max(0.01, min(tick, limits.read_timeout, limits.remaining))
        connected.settimeout(self._tick)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        began = time.monotonic()
        count = self._received_into(buffer)
        if count == 0 and self._was_reset():
            raise ConnectionResetError
        self._limits.received(count, time.monotonic() - began)
        return count

    def _received_into(self, buffer: Any) -> int:
        silent = 0.0
        while True:
            try:
                with self._waiting, self._interruptible:
                    return self._connected.recv_into(buffer)
            except TimeoutError:
                silent += self._tick
                if silent >= self._limits.read_timeout:
                    raise
                self._limits.raise_if_exceeded()
                self._on_wait()

    def _was_reset(self) -> bool:
        """Whether the end was a reset. Green sockets report it like the end of the response."""
        if isinstance(self._connected, ssl.SSLSocket) or not hasattr(socket, 'TCP_INFO'):
            return False  # TLS marks its end itself
        return self._connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE


class _ErrorTranslation:
    """Turns errors of a connection or a response into SourceUnreachable with one sentence."""

    def __init__(self, name: str, when: str) -> None:
        self._name = name
        self._when = when

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: types.TracebackType | None,
    ) -> None:
        if own_lack.is_one(error):
            return  # not the fault of the source
        if isinstance(error, OSError | EOFError | MalformedResponse):
            raise errors.SourceUnreachable(
                self._sentence(error), lasting=_is_lasting(error)
            ) from None

    def _sentence(self, error: OSError | EOFError | MalformedResponse) -> str:
        name, when = self._name, self._when
        match error:
            case MalformedResponse():
                return f'{name} broke the rules of HTTP {when}: {error}.'
            case ProxyFailed():
                return f'{name} cannot be reached: {error}.'
            case ssl.SSLCertVerificationError():
                why = (error.verify_message or 'it is not valid').rstrip('.')
                return f'The certificate of {name} is not trusted: {why}.'
            case ssl.SSLEOFError() | ConnectionError() | EOFError():
                if isinstance(error, ConnectionRefusedError):
                    return f'{name} cannot be reached: the connection was refused.'
                return f'{name} broke the connection {when}.'
            case ssl.SSLError():
                return f'{name} cannot be reached: the TLS handshake failed.'
            case TimeoutError():
                return f'{name} was silent for too long {when}.'
        return f'{name} cannot be reached: there is no route to it.'


def _is_lasting(error: OSError | EOFError | MalformedResponse) -> bool:
    """Whether the next connection would end with the same error."""
    if isinstance(error, ProxyFailed):
        return error.lasting
    if isinstance(error, ssl.SSLError):
        return not isinstance(error, _TLS_CUT)
    return isinstance(error, MalformedResponse)


def ascii_only(raw: bytes) -> str:
    """A path or Location for a request: all but ASCII is percent-encoded."""
    return urllib.parse.quote(raw, safe=_SAFE)
