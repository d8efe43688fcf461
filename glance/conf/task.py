"""[task]: who runs background work, where, and how long it is kept."""

from oslo_config import cfg

GROUP = cfg.OptGroup('task', title='Background tasks')

OPTS = [
    cfg.StrOpt(
        'task_executor',
        default='taskflow',
        help='Who runs tasks: a name in the glance.task_executors entry points. '
        '"taskflow" runs the steps of a task on an engine, "eventlet" one after '
        'another in a green thread. Results and answers are the same.',
    ),
    cfg.BoolOpt(
        'conduct',
        default=True,
        help='Whether the processes that serve the API run tasks as well. If not, '
        'they only accept tasks, which wait as pending for a glance-conductor on '
        'the same database. glance-conductor runs tasks in any case.',
    ),
    cfg.IntOpt(
        'task_time_to_live',
        default=48,
        min=1,
        deprecated_name='task_time_to_live',
        deprecated_group='DEFAULT',
        help='Hours an ended task can still be read. Then "glance-manage task purge" deletes it.',
    ),
    cfg.StrOpt(
        'work_dir',
        sample_default='$state_path/staging',
        help='Directory for bytes on their way to a store. Needs room for as many of '
        'the largest images as tasks run at once. On the same file system as '
        'the store, storing is a rename.',
    ),
    cfg.IntOpt(
        'eventlet_executor_pool_size',
        default=1000,
        min=1,
        help='Tasks that the eventlet executor runs at the same time in one process. '
        'More wait as pending.',
    ),
    cfg.IntOpt(
        'byte_threads',
        default=16,
        min=1,
        help='Native threads of one process that hash and write what imports receive, all '
        'of them together. An import uses up to three at a time; more only wait longer.',
    ),
    cfg.FloatOpt(
        'lease_time',
        default=30,
        min=1,
        help='Seconds a claim of a task holds without being renewed. It is renewed '
        'every third of that; when its process dies on another host, the task '
        'goes on elsewhere after this time.',
    ),
    cfg.FloatOpt(
        'poll_interval',
        default=1,
        min=0.01,
        mutable=True,
        help='Seconds between two looks at the queue, for tasks posted to other '
        'processes and for cancels.',
    ),
    cfg.IntOpt(
        'max_attempts',
        default=3,
        min=1,
        mutable=True,
        help='Times in a row that the process running a task may die without the task '
        'having got any further. Then the task fails.',
    ),
    cfg.FloatOpt(
        'stall_timeout',
        default=600,
        min=1,
        mutable=True,
        help='Seconds a step may go without progress. Then its run is given up, '
        'which counts as an attempt.',
    ),
]
