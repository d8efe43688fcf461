"""[import_filtering_opts]: which addresses an import may name."""

import ipaddress
import typing

from oslo_config import cfg, types

from glance.conf import _types
from glance.conf._types import BracketList

GROUP = cfg.OptGroup('import_filtering_opts', title='Sources of imports')

_AND = 'If the allowed list of a pair is not empty, it decides and the disallowed list is ignored.'


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Network(types.ConfigType):
    """An IPv4 or IPv6 network such as 10.0.0.0/8. A single address counts as a network."""

    def __init__(self) -> None:
        super().__init__(type_name='network value')

    def __call__(self, value: str | _Network) -> _Network:
        if isinstance(value, _Network):
            return value
        return ipaddress.ip_network(value.strip())

    def __repr__(self) -> str:
        return 'Network'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network)

    def __hash__(self) -> int:
        return hash(Network)

    def _formatter(self, value: typing.Any) -> str:
        return str(value)


OPTS = [
    cfg.Opt(
        'allowed_schemes',
        type=BracketList(),
        default=['http', 'https'],
        help='Schemes that an import may use. ' + _AND,
    ),
    cfg.Opt(
        'disallowed_schemes',
        type=BracketList(),
        default=[],
        help='Schemes that an import may not use.',
    ),
    cfg.Opt(
        'allowed_hosts',
        type=BracketList(),
        default=[],
        help='Hosts that an import may name. Only a host listed here may have an address '
        'that is loopback, private or link-local. ' + _AND,
    ),
    cfg.Opt(
        'disallowed_hosts',
        type=BracketList(),
        default=[],
        help='Hosts that an import may not name.',
    ),
    cfg.Opt(
        'allowed_networks',
        type=BracketList(Network()),
        default=[],
        help='Networks such as 10.20.0.0/16 that are not public, but from which imports may '
        'fetch. Public addresses stay allowed. allowed_hosts is not affected.',
    ),
    cfg.Opt(
        'allowed_ports',
        type=BracketList(types.Port()),
        default=[80, 443],
        help='Ports that the URL of an import may contain. ' + _AND,
    ),
    cfg.Opt(
        'disallowed_ports',
        type=BracketList(types.Port()),
        default=[],
        help='Ports that the URL of an import may not contain.',
    ),
    cfg.Opt(
        'proxy',
        type=_types.Url('http'),
        secret=True,
        mutable=True,
        help='Proxy for the connections to sources: http://[user:password@]host:port. '
        'The proxy resolves host names, so the proxy must also refuse internal addresses. '
        'Without this option, connections are direct; proxies named in the environment '
        'are ignored.',
    ),
    cfg.Opt(
        'ca_file',
        type=_types.Path(),
        mutable=True,
        help='File of certificates in PEM format to trust for https sources, in addition to '
        'those of the system. The service sees when the content of the file has changed.',
    ),
    cfg.FloatOpt(
        'connect_timeout',
        default=10,
        min=0.1,
        mutable=True,
        help='Seconds for connecting to a source, including TLS. All addresses of the source '
        'share this time.',
    ),
    cfg.FloatOpt(
        'read_timeout',
        default=60,
        min=0.1,
        mutable=True,
        help='Seconds to wait for the next bytes of a source.',
    ),
    cfg.FloatOpt(
        'total_timeout',
        default=21600,
        min=0,
        mutable=True,
        help='Seconds after which a fetch fails, however fast it is, retries included; '
        '0 is no limit.',
    ),
    cfg.IntOpt(
        'minimum_rate',
        default=512,
        min=0,
        mutable=True,
        help='Bytes per second that a source must send on average while the service waits for '
        'it, measured over a minute or read_timeout, whichever is longer; 0 is no limit.',
    ),
    cfg.FloatOpt(
        'retry_timeout',
        default=120,
        min=0,
        mutable=True,
        help='Seconds of trouble in a row after which a fetch fails: seconds in which no source '
        'sent a byte that it had not sent before. Until then, what may pass is tried again: '
        'connections that fail or break, silence, the statuses 408, 425, 429 and 5xx. There is '
        'at least one retry; 0 allows none.',
    ),
    cfg.FloatOpt(
        'retry_delay',
        default=1,
        min=0.01,
        mutable=True,
        help='Seconds before the first retry. The time doubles with each further retry, and '
        'varies by chance between half and all of it.',
    ),
    cfg.FloatOpt(
        'retry_delay_max',
        default=30,
        min=0.01,
        mutable=True,
        help='Longest time in seconds before a retry, also if the source asks for more with '
        'Retry-After.',
    ),
]
