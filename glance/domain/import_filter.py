"""Which addresses an import may name: scheme, host and port, and what the host leads to.

Asked when a task is posted, and again before each connection: what a name
leads to may have changed. Whoever connects uses the addresses that check()
returns and no others.
"""

import collections.abc
import dataclasses
import ipaddress
import re
import typing
import urllib.parse

from glance.domain import errors

FETCHABLE = {'http': 80, 'https': 443}  # scheme to default port

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAME = re.compile(r'(?!-)[a-z0-9_-]+(\.[a-z0-9_-]+)*')
# What a C library takes for an address in octal, hexadecimal or with parts left out.
_NUMBER_AT_THE_END = re.compile(r'(.*\.)?([0-9]+|0x[0-9a-f]*)')
_UNCLEAN = re.compile(r'[\x00-\x20\x7f\\]')

_GLOBAL_UNICAST = ipaddress.IPv6Network('2000::/3')
# Spelled out, because the standard library's idea of "global" changed between versions.
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


class Resolver(typing.Protocol):
    """What is asked for the addresses of a name; interfaces.Resolver is one."""

    def addresses(self, host: str, port: int) -> list[str]: ...


@dataclasses.dataclass(frozen=True)
class Target:
    """A source that passed: what to connect to, and what to ask for there.

    host       as it is sent in the Host header and checked in a certificate
    addresses  the addresses of the host that were checked, in normal form
    path       path and query, as they came
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
    """The operator's lists. Of each pair the first decides when it is not empty.

    A host in allowed_hosts may have any address, also a private one; every
    other host only public ones, and those of allowed_networks.
    """

    allowed_schemes: collections.abc.Collection[str] = ('http', 'https')
    disallowed_schemes: collections.abc.Collection[str] = ()
    allowed_hosts: collections.abc.Collection[str] = ()
    disallowed_hosts: collections.abc.Collection[str] = ()
    allowed_ports: collections.abc.Collection[int] = (80, 443)
    disallowed_ports: collections.abc.Collection[int] = ()
    allowed_networks: collections.abc.Collection[_Network] = ()

    def check(self, address: str, resolver: Resolver) -> Target:
        """Take an address apart, resolve its host once, and check all of it.

        Raises SourceRefused; the sentence names the address, masked, and the fact.
        """
        try:
            return self._checked(address, resolver)
        except ValueError as fact:
            raise errors.SourceRefused(
                f'{mask(address)} does not pass filtering: {fact}.'
            ) from None

    def ignored(self) -> list[str]:
        """A sentence for each list that has no effect, for the log of the start."""
        return [
            f'disallowed_{kind} has no effect because allowed_{kind} is given.'
            for kind in ('schemes', 'hosts', 'ports')
            if getattr(self, f'allowed_{kind}') and getattr(self, f'disallowed_{kind}')
        ]

    def _checked(self, address: str, resolver: Resolver) -> Target:
        parts = _split(address)
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
            raise ValueError(f'its host {host} cannot be resolved')
        if host not in allowed:
            for one in found:
                forms = _forms(one)
                if denied.intersection(str(form) for form in forms):
                    raise ValueError(f'its host {host} leads to an address that is not allowed')
                if not is_public(one) and not self._is_inside(one):
                    raise ValueError(f'its host {host} leads to an address that is not public')
        return tuple(str(one) for one in found)

    def _is_inside(self, address: _Address) -> bool:
        """Whether an address belongs to an allowed network as it is, not what it may wrap."""
        return any(
            address in network
            for network in self.allowed_networks
            if network.version == address.version
        )


def is_public(address: _Address) -> bool:
    """Whether an address belongs to one host of the internet, whatever it is wrapped in."""
    inner = _embedded(address)
    if inner is not None:
        return is_public(inner)
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return not any(
        address in network for network in _NOT_PUBLIC if network.version == address.version
    )


def mask(address: str) -> str:
    """An address for logs and messages: user, password and values of the query hidden.

    Works on any text, so that what is no address does not betray its secrets either.
    """
    address, has_fragment, _fragment = address.partition('#')
    place, has_query, query = address.partition('?')
    scheme, has_scheme, rest = place.rpartition('://')
    host, slash, path = rest.partition('/')
    if '@' in host:
        host = '***@' + host.rpartition('@')[2]
    elif '@' in path and not re.fullmatch(r'(\[[^]]*\]|[^:]*)(:[0-9]*)?', host):
        host, slash, path = '***@' + path.rpartition('@')[2], '', ''  # a slash in the password
    place = scheme + has_scheme + host + slash + path
    if has_query:
        place += '?' + re.sub('[^&;]+', _mask_value, query)
    if has_fragment:
        place += '#***'
    place = ''.join(letter if letter.isprintable() else '?' for letter in place)
    return place if len(place) <= 300 else place[:297] + '...'


def _mask_value(found: re.Match[str]) -> str:
    name, equals, _value = found.group().partition('=')
    return f'{name}=***' if equals else '***'


def _split(address: str) -> urllib.parse.SplitResult:
    if _UNCLEAN.search(address):
        raise ValueError('it holds a space, a backslash or a control character')
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError:
        raise ValueError('it cannot be understood') from None
    if not parts.scheme:
        raise ValueError('it has no scheme')
    return parts


def _host(parts: urllib.parse.SplitResult) -> str:
    """The host in the one spelling that is compared, connected to and sent."""
    host = (parts.hostname or '').removesuffix('.')
    if not host:
        raise ValueError('it has no host')
    literal = _literal(host)
    if literal is not None:
        return str(literal)
    if _NUMBER_AT_THE_END.fullmatch(host):
        raise ValueError(f'its host {host} is a number that is not spelled as an address')
    if not host.isascii():
        raise ValueError('its host is not spelled in ASCII; write it in its "xn--" form')
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise ValueError('its host is no valid name')
    return host


def _port(parts: urllib.parse.SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        raise ValueError('its port is no number from 0 to 65535') from None


def _login(parts: urllib.parse.SplitResult) -> tuple[str, str] | None:
    """User and password of an address, if they can mean one thing only."""
    userinfo, at, _host = parts.netloc.rpartition('@')
    if not at:
        return None
    user, _colon, password = userinfo.partition(':')
    if re.search('[@:]', userinfo.replace(':', '', 1)):
        raise ValueError('its user or password holds "@" or ":"; write them as %40 and %3A')
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
    """A host from a list of the operator's, as _host() spells it."""
    host = host.strip().lower().removesuffix('.')
    literal = _literal(host.removeprefix('[').removesuffix(']'))
    return host if literal is None else str(literal)


def _literal(host: str) -> _Address | None:
    try:
        return None if '%' in host else ipaddress.ip_address(host)
    except ValueError:
        return None


def _forms(address: _Address) -> list[_Address]:
    """An address, and the one it is a wrapping of."""
    inner = _embedded(address)
    return [address] if inner is None else [address, inner]


def _embedded(address: _Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None
