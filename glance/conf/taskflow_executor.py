"""[taskflow_executor]: how the taskflow executor runs the steps of tasks."""

from oslo_config import cfg

GROUP = cfg.OptGroup('taskflow_executor', title='The taskflow executor')

OPTS = [
    cfg.StrOpt(
        'engine_mode',
        default='parallel',
        choices=['serial', 'parallel'],
        help='"serial" runs the steps of a task one after another. "parallel" runs steps at '
        'the same time if their flow allows it. Different tasks run at the same time in '
        'both modes.',
    ),
    cfg.IntOpt(
        'max_workers',
        default=10,
        min=1,
        help='Number of steps that run at the same time in one process, over all tasks.',
    ),
    cfg.IntOpt(
        'max_tasks',
        default=16,
        min=1,
        deprecated_name='task_pool_threads',
        deprecated_group='wsgi',
        help='Number of tasks that run at the same time in one process; in serial mode never '
        'more than max_workers. Others stay pending.',
    ),
    cfg.StrOpt(
        'persistence',
        default='sql',
        choices=[
            ('sql', 'In the database of the service. Any process can continue a run of another.'),
            (
                'dir',
                'In files in state_path/logbooks. If a process handed a task back, or is known to '
                'be dead, the next process of this state folder continues the run. For one '
                'process only. A power cut may lose the files; then tasks begin again.',
            ),
            ('memory', 'Nowhere. If its process ends, a task begins again. For one process only.'),
        ],
        help='Where finished steps of running tasks are saved, so that a run can be continued. '
        'If [DEFAULT] workers is more than 1, it must be "sql": only the database ensures '
        'that no other process writes for a task.',
    ),
]
