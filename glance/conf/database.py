"""[database]: the database and the connections to it.

The names are those of oslo.db. It has more options, which this service does not use.
"""

from oslo_config import cfg

GROUP = cfg.OptGroup('database', title='Database')

OPTS = [
    cfg.StrOpt(
        'connection',
        secret=True,
        sample_default='sqlite:///$state_path/glance.sqlite',
        help='SQLAlchemy URL of the database: sqlite:///FILE, '
        'postgresql://USER:PASSWORD@HOST/NAME or mysql://USER:PASSWORD@HOST/NAME. A dollar '
        'sign is written $$; other special characters of a password are percent-encoded.',
    ),
    cfg.IntOpt(
        'max_pool_size',
        default=10,
        min=1,
        help='Connections to a database server that each process keeps open. A third of all its '
        'connections, max_overflow included, is kept for requests; runs of tasks share the '
        'others. The server must allow as many as all processes may open.',
    ),
    cfg.IntOpt(
        'max_overflow',
        default=5,
        min=0,
        help='Further connections to a database server that a process opens while it needs them.',
    ),
    cfg.IntOpt(
        'pool_timeout',
        default=10,
        min=1,
        help='Seconds to wait for a connection if all are in use. A transaction and all that it '
        'waits for may take 8.5 seconds, so a longer wait has no effect.',
    ),
    cfg.IntOpt(
        'connection_recycle_time',
        default=3600,
        min=-1,
        help='Seconds after which a connection to a database server is replaced; -1 is never.',
    ),
    cfg.StrOpt(
        'mysql_sql_mode',
        default='TRADITIONAL',
        help='The sql_mode of each connection to MariaDB or MySQL. Empty: that of the server.',
    ),
]
