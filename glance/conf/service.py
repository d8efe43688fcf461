"""[DEFAULT]: the address of the service, its folders and its limits."""

from oslo_config import cfg

from glance.conf import _types

GROUP = None

OPTS = [
    cfg.Opt(
        'state_path',
        type=_types.Path(),
        sample_default='$XDG_STATE_HOME/glance',
        help='Directory for everything that has no directory of its own: database, images, '
        'staging, lock files. It is created with mode 0700. Default: glance in '
        'XDG_STATE_HOME, which itself defaults to ~/.local/state.',
    ),
    cfg.DictOpt(
        'enabled_backends',
        help='The stores, as pairs name:kind, for example "fast:file,slow:file". Each store has '
        'a section with its name and the options of its kind. [glance_store] default_backend '
        'names the store for new images. By default there is one store, for files. Kinds are '
        'the names in the entry points glance.stores.',
    ),
    cfg.HostAddressOpt(
        'bind_host', default='127.0.0.1', help='Address on which glance-api listens.'
    ),
    cfg.PortOpt(
        'bind_port',
        default=9292,
        help='Port on which glance-api listens; 0 chooses a free port and logs it.',
    ),
    cfg.IntOpt(
        'workers',
        default=1,
        min=1,
        help='Number of processes that serve requests and run tasks. With 1, nothing is forked.',
    ),
    cfg.IntOpt(
        'backlog', default=4096, min=1, help='Number of connections that may wait to be accepted.'
    ),
    cfg.IntOpt(
        'client_socket_timeout',
        default=900,
        min=0,
        help='Seconds after which a client connection is closed on which nothing moves while a '
        'request is read or answered; 0 is no limit. In any case, the head of a request must '
        'arrive within 20 seconds, and its body may pause for 60 seconds at most.',
    ),
    cfg.IntOpt(
        'max_waiting_connections_per_address',
        default=0,
        min=0,
        help='Number of connections of one client address whose request has not arrived '
        'completely, in each process. If there are more, the one that has waited longest is '
        'closed. A load balancer is one address for all its clients. 0 is no limit.',
    ),
    cfg.StrOpt(
        'auth_strategy',
        default='noauth',
        choices=['noauth'],
        help='How callers are identified. "noauth": every caller is an administrator of the '
        'project noauth_project. Use it on a single machine only.',
    ),
    cfg.Opt(
        'noauth_project',
        type=_types.Name(),
        default='default',
        help='The project that owns everything with noauth.',
    ),
    cfg.BoolOpt(
        'noauth_allow_remote',
        default=False,
        help='With noauth, allow to listen on an address that is not loopback, and accept any '
        'Host header. Then everybody who can reach the port is an administrator.',
    ),
    cfg.Opt(
        'public_endpoint',
        type=_types.Url('http', 'https'),
        help='URL of this service for clients, used in Location headers and in the versions '
        'document. Default: the URL of the request.',
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
        help='Number of items on a page of a list if the request does not set a limit.',
    ),
    cfg.IntOpt(
        'api_limit_max',
        default=1000,
        min=1,
        help='Largest number of items on a page of a list, whatever the request asks for.',
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
        help='Largest number of additional properties of one image; negative is no limit.',
    ),
    cfg.IntOpt(
        'image_tag_quota',
        default=128,
        help='Largest number of tags of one image; negative is no limit.',
    ),
]
