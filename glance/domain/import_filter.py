"""Which URLs an import may name: a filter for scheme, host, port and the host's IP addresses.

It is applied when a task is posted, and again before each connection, because
the addresses of a name may have changed. A connection is made only to the
addresses that verify() returned.
"""

import collections.abc
import contextlib
import dataclasses
import ipaddress
import re
import typing
import urllib.parse

from glance.domain import errors
from glance.domain.look_ups import Known, NotLookedUp, Resolver, look_up_all

FETCHABLE = {'http': 80, 'https': 443}  # scheme to default port

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAME = re.compile(r'(?!-)[a-z0-9_-]+(\.[a-z0-9_-]+)*')
# C libraries read this as an IP address: octal, hexadecimal, or with parts left out.
_NUMBER_AT_THE_END = re.compile(r'(.*\.)?([0-9]+|0x[0-9a-f]*)')
_UNCLEAN = re.compile(r'[\x00-\x20\x7f\\]')

_GLOBAL_UNICAST = ipaddress.IPv6Network('2000::/3')
# Listed here because the standard library's idea of "global" changed between versions.
_NOT_PUBLIC = (
    ipaddress.IPv6Network('2001::/23'),  # protocol assignments; Teredo among them
    ipaddress.IPv6Network('2001:db8::/32'),  # documentation
    ipaddress.IPv6Network('3fff::/20'),  # documentation
    ipaddress.IPv4Network('0.0.0.0/8'),
    ipaddress.IPv4Network('10.0.0.0/8'),
    ipaddress.IPv4Network('100.64.0.0/10'),  # behind a carrier's translation
    ipaddress.IPv4Network('127.0.0.0/8'),
    ipaddress.IPv4Network('169.254.0.0/16'),  # link-local; metadata services
    ipaddress.IPv4Network('172.16.0.0/12'),
    ipaddress.IPv4Network('192.0.0.0/24'),
    ipaddress.IPv4Network('192.0.2.0/24'),  # documentation
    ipaddress.IPv4Network('192.88.99.0/24'),  # relays of 6to4
    ipaddress.IPv4Network('192.168.0.0/16'),
    ipaddress.IPv4Network('198.18.0.0/15'),  # benchmarks
    ipaddress.IPv4Network('198.51.100.0/24'),  # documentation
    ipaddress.IPv4Network('203.0.113.0/24'),  # documentation
    ipaddress.IPv4Network('224.0.0.0/3'),  # multicast, reserved, broadcast
)
_NAT64 = ipaddress.IPv6Network('64:ff9b::/96')
_COMPATIBLE = ipaddress.IPv6Network('::/96')

# For mask(): where the host begins; what ends a user and password, also for readers who decode
# or normalize first; and what a host with a port is.
_START = re.compile(r'.*://|[/\\]{2,}', re.DOTALL)
_AT = re.compile('[@\N{FULLWIDTH COMMERCIAL AT}\N{SMALL COMMERCIAL AT}]|%40')
_HOST_AND_PORT = re.compile(r'(\[[^]]*\]|[^:]*)(:[0-9]*)?')


class _Unresolved(ValueError):
    """Raised for a host without an address."""


@dataclasses.dataclass(frozen=True)
class Target:
    """A source that passed the filter: where to connect, and what to request there.

    host       as it is sent in the Host header and checked in a certificate
    addresses  the IP addresses of the host, in normal form; all passed the filter
    path       path and query, unchanged
    login      user and password, percent-decoded, or None
    """

    scheme: str
    host: str
    port: int
    addresses: tuple[str, ...]
    path: str
    login: tuple[str, str] | None = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True)
class ImportFilter:
    """The operator's lists. If the allowed_ list of a pair is not empty, it alone decides.

    A host in allowed_hosts may have any IP address, also a private one. All other
    hosts may only have public addresses and those of allowed_networks.
    """

    allowed_schemes: collections.abc.Collection[str] = ('http', 'https')
    disallowed_schemes: collections.abc.Collection[str] = ()
    allowed_hosts: collections.abc.Collection[str] = ()
    disallowed_hosts: collections.abc.Collection[str] = ()
    allowed_ports: collections.abc.Collection[int] = (80, 443)
    disallowed_ports: collections.abc.Collection[int] = ()
    allowed_networks: collections.abc.Collection[_Network] = ()

    def verify(self, url: str, resolver: Resolver) -> Target:
        """Parse a URL, resolve its host once, and check every part.

        Raises SourceRefused, or SourceUnresolved if the host has no address now; the message
        names the masked URL and the reason.
        """
        try:
            return self._checked(url, resolver)
        except ValueError as fact:
            kind = errors.SourceRefused
            if isinstance(fact, _Unresolved):
                kind = errors.SourceUnresolved
            raise kind(f'{mask(url)} does not pass filtering: {fact}.') from None

    def verify_all(
        self, urls: collections.abc.Iterable[str], resolver: Resolver, *, within: float
    ) -> None:
        """Raises what verify() raises for a URL that does not pass.

        within  seconds that all look-ups together may take; they are done side by side

        A URL that is refused without a look-up is told before any is begun.
        """
        urls, names = list(urls), Known()
        for url in urls:
            with contextlib.suppress(NotLookedUp):
                self.verify(url, names)
        if names.asked:
            found = look_up_all(names.asked, resolver, within)
            names.known = dict(zip(names.asked, found, strict=True))
            for url in urls:
                self.verify(url, names)

    def ignored(self) -> list[str]:
        """A sentence for each list that has no effect; it is logged at the start."""
        return [
            f'disallowed_{kind} has no effect because allowed_{kind} is given.'
            for kind in ('schemes', 'hosts', 'ports')
            if getattr(self, f'allowed_{kind}') and getattr(self, f'disallowed_{kind}')
        ]

    def _checked(self, url: str, resolver: Resolver) -> Target:
        parts = _split(url)
        if not _passes(
            parts.scheme, _lower(self.allowed_schemes), _lower(self.disallowed_schemes)
        ):
            raise ValueError(f'its scheme "{parts.scheme}" is not allowed')
        if parts.scheme not in FETCHABLE:
            raise ValueError(f'its scheme "{parts.scheme}" is neither http nor https')
        host = _host(parts)
        port = _port(parts)
        if port is not None and not _passes(port, self.allowed_ports, self.disallowed_ports):
            raise ValueError(f'its port {port} is not allowed')
        port = FETCHABLE[parts.scheme] if port is None else port
        addresses = self._addresses(host, port, resolver)
        path = (parts.path or '/') + (f'?{parts.query}' if parts.query else '')
        return Target(parts.scheme, host, port, addresses, path, _login(parts))

    def _addresses(self, host: str, port: int, resolver: Resolver) -> tuple[str, ...]:
        allowed = {_normal(listed) for listed in self.allowed_hosts}
        denied = {_normal(listed) for listed in self.disallowed_hosts}
        literal = _literal(host)
        spellings = [host] if literal is None else [str(form) for form in _forms(literal)]
        if not _passes(host, allowed, ()) or (not allowed and denied.intersection(spellings)):
            raise ValueError(f'its host {host} is not allowed')
        if literal is not None:
            found: list[_Address] = [literal]
        else:
            found = [ipaddress.ip_address(text) for text in resolver.addresses(host, port)]
        if not found:
            raise _Unresolved(f'its host {host} cannot be resolved')
        if host not in allowed:
            for address in found:
                forms = _forms(address)
                if denied.intersection(str(form) for form in forms):
                    raise ValueError(f'its host {host} leads to an address that is not allowed')
                if not is_public(address) and not self._is_inside(address):
                    raise ValueError(f'its host {host} leads to an address that is not public')
        return tuple(str(address) for address in found)

    def _is_inside(self, address: _Address) -> bool:
        """Whether an allowed network holds this address itself, not the one embedded in it."""
        return any(
            address in network
            for network in self.allowed_networks
            if network.version == address.version
        )


def is_public(address: _Address) -> bool:
    """Whether an address, or the IPv4 address embedded in it, belongs to one public host."""
    inner = _embedded(address)
    if inner is not None:
        return is_public(inner)
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return not any(
        address in network for network in _NOT_PUBLIC if network.version == address.version
    )


def mask(url: str) -> str:
    """A URL for logs and messages: user, password and the values of the query are hidden.

    Works on any text, because a text that is not a valid URL may hold secrets too.
    """
    url, has_fragment, _fragment = url.partition('#')
    base, has_query, query = url.partition('?')
    start = _START.match(base)
    scheme, rest = (start[0], base[start.end() :]) if start else ('', base)
    host, slash, path = rest.partition('/')
    if _AT.search(host):
        host = '***@' + _AT.split(host)[-1]
    elif _AT.search(path) and not _HOST_AND_PORT.fullmatch(host):
        host, slash, path = '***@' + _AT.split(path)[-1], '', ''  # the password has a slash
    if start and not _HOST_AND_PORT.fullmatch(host.removeprefix('***@')):
        # What looks like a port is the password of a URL that was cut, or written wrongly.
        host = host.partition(':')[0] + ':***'
    masked = scheme + host + slash + re.sub(r';([^=/;]*)=[^/;]*', r';\1=***', path)
    if has_query:
        masked += '?' + re.sub('[^&;]+', _mask_value, query)
    if has_fragment:
        masked += '#***'
    if not masked.isprintable():
        masked = ''.join(letter if letter.isprintable() else '?' for letter in masked)
    return masked if len(masked) <= 300 else masked[:297] + '...'


def _mask_value(found: re.Match[str]) -> str:
    name, equals, _value = found.group().partition('=')
    return f'{name}=***' if equals else '***'


def _split(url: str) -> urllib.parse.SplitResult:
    if _UNCLEAN.search(url):
        raise ValueError('it contains a space, a backslash or a control character')
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        raise ValueError('it cannot be parsed') from None
    if not parts.scheme:
        raise ValueError('it has no scheme')
    return parts


def _host(parts: urllib.parse.SplitResult) -> str:
    """The host in normal form. This form is compared, connected to and sent."""
    host = (parts.hostname or '').removesuffix('.')
    if not host:
        raise ValueError('it has no host')
    literal = _literal(host)
    if literal is not None:
        return str(literal)
    if _NUMBER_AT_THE_END.fullmatch(host):
        raise ValueError(f'its host {host} is a number that is not written as an IP address')
    if not host.isascii():
        raise ValueError('its host is not written in ASCII; write it in its "xn--" form')
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise ValueError('its host is not a valid name')
    return host


def _port(parts: urllib.parse.SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        raise ValueError('its port is not a number from 0 to 65535') from None


def _login(parts: urllib.parse.SplitResult) -> tuple[str, str] | None:
    """User and password of a URL, or None. Raises ValueError if they are ambiguous."""
    userinfo, at, _host = parts.netloc.rpartition('@')
    if not at:
        return None
    user, _colon, password = userinfo.partition(':')
    if re.search('[@:]', userinfo.replace(':', '', 1)):
        raise ValueError('its user or password contains "@" or ":"; write them as %40 and %3A')
    user, password = urllib.parse.unquote(user), urllib.parse.unquote(password)
    if not user or ':' in user or not (user + password).isprintable():
        raise ValueError('its user and password cannot be sent as they are')
    return user, password


def _passes(
    value: typing.Any,
    allowed: collections.abc.Collection[typing.Any],
    disallowed: collections.abc.Collection[typing.Any],
) -> bool:
    return value in allowed if allowed else value not in disallowed


def _lower(names: collections.abc.Iterable[str]) -> list[str]:
    return [name.lower() for name in names]


def _normal(host: str) -> str:
    """A host of an operator's list, in the form that _host() returns."""
    host = host.strip().lower().removesuffix('.')
    literal = _literal(host.removeprefix('[').removesuffix(']'))
    return host if literal is None else str(literal)


def _literal(host: str) -> _Address | None:
    try:
        return None if '%' in host else ipaddress.ip_address(host)
    except ValueError:
        return None


def _forms(address: _Address) -> list[_Address]:
    """An address, and the IPv4 address embedded in it, if there is one."""
    inner = _embedded(address)
    return [address] if inner is None else [address, inner]


def _embedded(address: _Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for, or None."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None
