"""[taskflow_workers]: how conductors and workers reach each other."""

from oslo_config import cfg, types

GROUP = cfg.OptGroup('taskflow_workers', title='Workers of the taskflow executor')

OPTS = [
    cfg.StrOpt(
        'transport',
        default='redis',
        choices=['redis', 'amqp'],
        help='Kind of the message broker between conductors and workers, with '
        '[taskflow_executor] engine_mode = worker-based.',
    ),
    cfg.StrOpt(
        'address',
        default='redis://127.0.0.1:6379/0',
        regex='(rediss?|amqps?|pyamqp)://.+',
        secret=True,
        help='URL of the message broker, as kombu takes it. Whoever can write there can delay '
        'tasks, but neither read nor change them.',
    ),
    cfg.StrOpt(
        'exchange',
        default='glance',
        regex='[A-Za-z0-9_-]{1,64}',
        help='First part of the names of all queues at the broker. Each deployment that shares '
        'a broker with others needs its own.',
    ),
    cfg.ListOpt(
        'topics',
        default=['default'],
        item_type=types.String(regex='[A-Za-z0-9_-]{1,64}', max_length=64),
        help='A worker does steps for the conductors that have a topic in common with it.',
    ),
    cfg.FloatOpt(
        'worker_timeout',
        default=5.0,
        min=2.0,
        max=600.0,
        help='Seconds after which a worker that is not heard counts as lost; another one then '
        'goes on with its tasks. Seconds in which the broker itself is not heard do not count.',
    ),
]
