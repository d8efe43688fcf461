"""[import_filtering_opts]: which addresses an import may name."""

import ipaddress

from oslo_config import cfg, types

from glance.conf._types import BracketList

GROUP = cfg.OptGroup('import_filtering_opts', title='Sources of imports')

_AND = 'Of each pair, the allow list decides when it is not empty, else the other.'


class Network(types.ConfigType):
    """An IPv4 or IPv6 network such as 10.0.0.0/8; one address is a network, too."""

    def __init__(self):
        super().__init__(type_name='network value')

    def __call__(self, value):
        if isinstance(value, ipaddress.IPv4Network | ipaddress.IPv6Network):
            return value
        return ipaddress.ip_network(value.strip())

    def __repr__(self):
        return 'Network'

    def __eq__(self, other):
        return isinstance(other, Network)

    def __hash__(self):
        return hash(Network)

    def _formatter(self, value):
        return str(value)


OPTS = [
    cfg.Opt(
        'allowed_schemes',
        type=BracketList(),
        default=['http', 'https'],
        help='Schemes an import may use. ' + _AND,
    ),
    cfg.Opt(
        'disallowed_schemes', type=BracketList(), default=[], help='Schemes an import may not use.'
    ),
    cfg.Opt(
        'allowed_hosts',
        type=BracketList(),
        default=[],
        help='Hosts an import may name. A host listed here may also have an address '
        'that is loopback, private or link-local; others may not. ' + _AND,
    ),
    cfg.Opt(
        'disallowed_hosts', type=BracketList(), default=[], help='Hosts an import may not name.'
    ),
    cfg.Opt(
        'allowed_networks',
        type=BracketList(Network()),
        default=[],
        help='Networks, as 10.20.0.0/16, into which a name may lead although they are not '
        'public. What is public stays allowed; allowed_hosts is not affected.',
    ),
    cfg.Opt(
        'allowed_ports',
        type=BracketList(cfg.types.Port()),
        default=[80, 443],
        help='Ports an import may write in its address. ' + _AND,
    ),
    cfg.Opt(
        'disallowed_ports',
        type=BracketList(cfg.types.Port()),
        default=[],
        help='Ports an import may not write in its address.',
    ),
    cfg.URIOpt(
        'proxy',
        schemes=['http'],
        secret=True,
        help='Proxy through which sources are reached, as http://[user:password@]host:port. '
        'It resolves names by itself, so it must refuse inner addresses by itself, too. '
        'Without it sources are connected to directly, whatever the environment says.',
    ),
    cfg.StrOpt(
        'ca_file',
        help='File of certificates in PEM form that are trusted for https sources, besides '
        "the system's.",
    ),
    cfg.FloatOpt(
        'connect_timeout',
        default=10,
        min=0.1,
        help='Seconds in which one of the addresses of a source must accept a connection, '
        'TLS included; they share this time.',
    ),
    cfg.FloatOpt(
        'read_timeout', default=60, min=0.1, help='Seconds to wait for the next bytes of a source.'
    ),
    cfg.FloatOpt(
        'total_timeout',
        default=21600,
        min=0,
        help='Seconds after which a fetch is given up however fast it is; 0 never.',
    ),
    cfg.IntOpt(
        'minimum_rate',
        default=512,
        min=0,
        help='Bytes per second that a source must send on average while it is waited for, '
        'over a minute or read_timeout, whichever is longer; 0 is no limit.',
    ),
]
