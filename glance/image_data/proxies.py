"""The operator's HTTP proxy, and how a connection goes through it.

The proxy resolves host names itself. So only the name was checked here, not
the address that the proxy connects to.
"""

import base64
import dataclasses
import http
import io
import socket
import time
import urllib.parse
from typing import Any, Self

from glance import interrupts
from glance.domain import errors
from glance.image_data.http_response import MalformedResponse, Response
from glance.interfaces.resolver import Resolver

DEFAULT_PORT = 3128
MAX_TUNNEL_HEAD = 65536  # bytes of an answer to CONNECT, interim answers included


class ProxyFailed(OSError):
    """Its text completes the sentence "The source cannot be reached: ".

    lasting  whether the proxy would fail in this way again
    """

    def __init__(self, fact: str, *, lasting: bool = False) -> None:
        super().__init__(fact)
        self.lasting = lasting


@dataclasses.dataclass(frozen=True)
class Proxy:
    """addresses  the IP addresses of its host; the operator may use any, so none is refused
    login      user and password, or None
    """

    addresses: tuple[str, ...]
    port: int
    login: tuple[str, str] | None = dataclasses.field(default=None, repr=False)

    @classmethod
    def from_url(cls, url: str, resolver: Resolver) -> Self:
        """The proxy at http://[user:password@]host:port. Raises SourceUnreachable."""
        parts = urllib.parse.urlsplit(url)
        port = parts.port or DEFAULT_PORT
        addresses = resolver.addresses(parts.hostname or '', port)
        if not addresses:
            raise errors.SourceUnreachable('The proxy cannot be resolved.')
        login = None
        if parts.username is not None:
            login = (
                urllib.parse.unquote(parts.username),
                urllib.parse.unquote(parts.password or ''),
            )
        return cls(tuple(addresses), port, login)

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.login is None else {'Proxy-Authorization': basic_auth(self.login)}

    def open_tunnel(self, connected: socket.socket, host: str, port: int, until: float) -> None:
        """Ask the proxy to connect this socket to a host (CONNECT), before `until`.

        Raises ProxyFailed.
        """
        target = authority(host, port)
        lines = [f'CONNECT {target} HTTP/1.1', f'Host: {target}']
        lines += [f'{name}: {value}' for name, value in self.headers.items()]
        connected.sendall('\r\n'.join([*lines, '', '']).encode())
        try:
            status = Response(_TunnelReader(connected, until)).status
        except MalformedResponse as fact:
            raise ProxyFailed(f'the proxy broke the rules of HTTP: {fact}', lasting=True) from fact
        if status != http.HTTPStatus.OK:
            raise ProxyFailed(f'the proxy answered {status}', lasting=status < 500)


class _TunnelReader(io.RawIOBase):
    """Reads the answer to CONNECT with limits.

    It has no buffer, so readline() takes no byte of what follows the answer.
    """

    def __init__(self, connected: socket.socket, until: float) -> None:
        self._connected = connected
        self._interruptible = interrupts.socket_call(connected)
        self._until = until
        self._received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        self._connected.settimeout(seconds)
        with self._interruptible:
            count = self._connected.recv_into(buffer)
        self._received += count
        if self._received > MAX_TUNNEL_HEAD:
            raise MalformedResponse('it does not end')
        return count


def basic_auth(login: tuple[str, str]) -> str:
    """The value of a header for basic authentication."""
    return 'Basic ' + base64.b64encode(':'.join(login).encode()).decode()


def authority(host: str, port: int) -> str:
    """Host and port as they are written in a URL."""
    return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'
