"""[DEFAULT]: where the service listens, where it keeps its things, its limits."""

from oslo_config import cfg

GROUP = None

OPTS = [
    cfg.StrOpt(
        'state_path',
        sample_default='$XDG_STATE_HOME/glance',
        help='Directory for everything that is not configured elsewhere: database, '
        'images, staging, lock files. Created with mode 0700. Default: '
        'glance below XDG_STATE_HOME, which itself defaults to ~/.local/state.',
    ),
    cfg.HostAddressOpt(
        'bind_host', default='127.0.0.1', help='Address on which glance-api listens.'
    ),
    cfg.PortOpt(
        'bind_port',
        default=9292,
        help='Port on which glance-api listens; 0 takes a free one and logs it.',
    ),
    cfg.IntOpt(
        'workers',
        default=1,
        min=1,
        help='Processes that serve requests and run tasks. 1 does not fork.',
    ),
    cfg.IntOpt('backlog', default=4096, min=1, help='Connections that may wait to be accepted.'),
    cfg.IntOpt(
        'client_socket_timeout',
        default=900,
        min=0,
        help='Seconds after which an idle client connection is closed; 0 never.',
    ),
    cfg.StrOpt(
        'auth_strategy',
        default='noauth',
        choices=['noauth'],
        help='How callers are known. "noauth": every request is an administrator of '
        'the project noauth_project; for one machine only.',
    ),
    cfg.StrOpt(
        'noauth_project',
        default='default',
        help='The project to which everything belongs under noauth.',
    ),
    cfg.BoolOpt(
        'noauth_allow_remote',
        default=False,
        help='Let noauth listen on an address that is not loopback and answer to any '
        'Host header. Whoever reaches the port is then an administrator.',
    ),
    cfg.URIOpt(
        'public_endpoint',
        schemes=['http', 'https'],
        help='Address under which clients reach this service, used in Location '
        'headers and the versions document. Default: as the request says.',
    ),
    cfg.IntOpt(
        'max_request_id_length',
        default=64,
        min=0,
        help='Longest X-OpenStack-Request-ID accepted from a caller, in characters; '
        '0 is no limit.',
    ),
    cfg.IntOpt(
        'max_json_body_size',
        default=65536,
        min=1024,
        help='Largest JSON body of a request, in bytes. A larger one is refused '
        'before it is read.',
    ),
    cfg.IntOpt(
        'limit_param_default',
        default=25,
        min=1,
        help='Items on a page of a list when the request names no limit.',
    ),
    cfg.IntOpt(
        'api_limit_max',
        default=1000,
        min=1,
        help='Most items on a page of a list, whatever the request says.',
    ),
    cfg.IntOpt(
        'image_size_cap',
        default=1099511627776,
        min=1,
        max=9223372036854775807,
        help='Largest image accepted, in bytes.',
    ),
    cfg.IntOpt(
        'image_property_quota',
        default=128,
        help='Free properties of one image; negative is no limit.',
    ),
    cfg.IntOpt('image_tag_quota', default=128, help='Tags of one image; negative is no limit.'),
]
