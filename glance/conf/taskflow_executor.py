"""[taskflow_executor]: how the taskflow executor runs the steps of tasks."""

from oslo_config import cfg

GROUP = cfg.OptGroup('taskflow_executor', title='The taskflow executor')

OPTS = [
    cfg.StrOpt(
        'engine_mode',
        default='parallel',
        choices=['serial', 'parallel'],
        help='"serial" runs the steps of a task one after another. "parallel" runs '
        'those at once that a flow says may run together. Different tasks run at '
        'the same time in both.',
    ),
    cfg.IntOpt(
        'max_workers',
        default=10,
        min=1,
        help='Steps that run at the same time in one process, of all tasks together.',
    ),
    cfg.IntOpt(
        'max_tasks',
        default=16,
        min=1,
        deprecated_name='task_pool_threads',
        deprecated_group='wsgi',
        help='Tasks that are under way at the same time in one process; in serial '
        'mode never more than max_workers. More wait as pending.',
    ),
    cfg.StrOpt(
        'persistence',
        default='sql',
        choices=[
            ('sql', 'In the database of the service: any process goes on where another ended.'),
            (
                'dir',
                'In files below state_path/logbooks: the next process of this state folder '
                'goes on where one ended that is known to be dead, or handed the task back. '
                'For one process; a power cut may lose it, then tasks begin again.',
            ),
            ('memory', 'Not at all: a task whose process ended begins again. For one process.'),
        ],
        help='Where the finished steps of running tasks are remembered. With [DEFAULT] '
        'workers above 1 it must be "sql": only there nobody but the holder of a task can '
        'write for it.',
    ),
]
