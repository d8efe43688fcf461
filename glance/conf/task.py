"""[task]: what runs tasks, where, and how long tasks are kept."""

from oslo_config import cfg

from glance.conf import _types

GROUP = cfg.OptGroup('task', title='Background tasks')

OPTS = [
    cfg.StrOpt(
        'task_executor',
        default='taskflow',
        help='What runs tasks: a name from the entry points glance.task_executors. '
        '"taskflow" runs the steps of a task on an engine, "eventlet" runs them one after '
        'another in a green thread. Results and answers are the same.',
    ),
    cfg.BoolOpt(
        'conduct',
        default=True,
        help='Whether the processes that serve the API also run tasks. If not, they only '
        'accept tasks. These stay pending until a glance-conductor on the same database '
        'runs them. glance-conductor runs tasks in any case.',
    ),
    cfg.IntOpt(
        'task_time_to_live',
        default=48,
        min=1,
        max=876000,
        deprecated_name='task_time_to_live',
        deprecated_group='DEFAULT',
        help='Hours for which an ended task can be read, at most 100 years. After that, '
        '"glance-manage task purge" deletes it.',
    ),
    cfg.Opt(
        'work_dir',
        type=_types.Path(),
        sample_default='$state_path/staging',
        help='Directory for image files on their way to a store. It needs room for the largest '
        'image times the number of tasks that run at the same time. If it is on the file '
        'system of the store, an image is stored by renaming its file.',
    ),
    cfg.IntOpt(
        'eventlet_executor_pool_size',
        default=1000,
        min=1,
        help='Number of tasks that the eventlet executor runs at the same time in one process. '
        'Others stay pending.',
    ),
    cfg.IntOpt(
        'byte_threads',
        default=16,
        min=1,
        help='Number of native threads in one process that hash and write the bytes of all '
        'imports. An import uses up to three at a time, and waits while all are busy.',
    ),
    cfg.FloatOpt(
        'lease_time',
        default=30,
        min=1,
        help='Seconds after which a claim of a task expires unless it is renewed. It is renewed '
        'three times in this period. If a host dies, its tasks continue on other hosts after '
        'this time.',
    ),
    cfg.FloatOpt(
        'poll_interval',
        default=1,
        min=0.01,
        mutable=True,
        help='Seconds between two reads of the queue, which find the tasks that other processes '
        'accepted, and requests to cancel.',
    ),
    cfg.IntOpt(
        'max_attempts',
        default=3,
        min=1,
        mutable=True,
        help='How many times in a row a run of a task may end without progress by the fault of '
        'the task: it stalls, or its process dies while it runs this task only. Then the task '
        'fails. Tasks whose processes die twice in a row run in a child process, so that they '
        'harm no others.',
    ),
    cfg.FloatOpt(
        'stall_timeout',
        default=600,
        min=1,
        mutable=True,
        help='Seconds for which a step may make no progress. Then its run is given up, which '
        'counts as an attempt.',
    ),
]
