"""[import_filtering_opts]: which addresses an import may name."""

from oslo_config import cfg

from glance.conf._types import BracketList

GROUP = cfg.OptGroup('import_filtering_opts', title='Sources of imports')

_AND = 'Of each pair, the allow list decides when it is not empty, else the other.'

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
    cfg.FloatOpt(
        'connect_timeout',
        default=10,
        min=0.1,
        help='Seconds to wait for a source to accept a connection.',
    ),
    cfg.FloatOpt(
        'read_timeout', default=60, min=0.1, help='Seconds to wait for the next bytes of a source.'
    ),
]
