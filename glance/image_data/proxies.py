"""The way to a source through the operator's proxy.

The proxy resolves names by itself: what was checked here is the name, not the
address that it will connect to.
"""

import base64
import dataclasses
import http.client
import urllib.parse

from glance.domain import errors

DEFAULT_PORT = 3128


class ProxyFailed(OSError):
    """Says what the proxy did, to follow "cannot be reached: "."""


@dataclasses.dataclass(frozen=True)
class Proxy:
    """addresses  those of its host; it is the operator's and may be anywhere"""

    addresses: tuple[str, ...]
    port: int
    login: tuple[str, str] | None = dataclasses.field(default=None, repr=False)

    @classmethod
    def of(cls, address, resolver):
        """The proxy at http://[user:password@]host:port. Raises SourceUnreachable."""
        parts = urllib.parse.urlsplit(address)
        port = parts.port or DEFAULT_PORT
        found = resolver.addresses(parts.hostname, port)
        if not found:
            raise errors.SourceUnreachable('The proxy cannot be resolved.')
        login = None
        if parts.username is not None:
            login = (
                urllib.parse.unquote(parts.username),
                urllib.parse.unquote(parts.password or ''),
            )
        return cls(tuple(found), port, login)

    @property
    def headers(self):
        return {} if self.login is None else {'Proxy-Authorization': basic(self.login)}

    def ask_for_way(self, connected, host, port):
        """Have a connected socket led on to a host. Raises ProxyFailed."""
        place = authority(host, port)
        lines = [f'CONNECT {place} HTTP/1.1', f'Host: {place}']
        lines += [f'{name}: {value}' for name, value in self.headers.items()]
        connected.sendall('\r\n'.join([*lines, '', '']).encode())
        answer = http.client.HTTPResponse(connected, method='CONNECT')
        try:
            answer.begin()
        finally:
            answer.close()
        if answer.status != http.HTTPStatus.OK:
            raise ProxyFailed(f'the proxy answered {answer.status}')


def basic(login):
    """User and password as a header has them."""
    return 'Basic ' + base64.b64encode(':'.join(login).encode()).decode()


def authority(host, port):
    """Host and port as an address has them."""
    return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'
