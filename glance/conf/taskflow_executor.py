"""[taskflow_executor]: how the taskflow executor runs the steps of tasks."""

from oslo_config import cfg

GROUP = cfg.OptGroup('taskflow_executor', title='The taskflow executor')

OPTS = [
    cfg.StrOpt(
        'engine_mode',
        default='parallel',
        choices=['serial', 'parallel', 'worker-based'],
        help='"serial" runs the steps of a task one after another. "parallel" runs steps at '
        'the same time if their flow allows it. Different tasks run at the same time in '
        'both modes. "worker-based" lets glance-worker processes do the steps that move bytes: '
        'see [taskflow_workers]. It needs persistence = sql, and staging and store folders that '
        'all hosts share.',
    ),
    cfg.IntOpt(
        'max_workers',
        default=10,
        min=1,
        help='Number of steps at work in one process, over all tasks. While there are so many, '
        'no task is claimed and no step begins. A step that waits for bytes of its source is not '
        'at work.',
    ),
    cfg.IntOpt(
        'max_tasks',
        min=1,
        deprecated_name='task_pool_threads',
        deprecated_group='wsgi',
        sample_default=500,
        help='Number of tasks under way in one process, those that wait for their source '
        'included. Others stay pending. By default 500 with green threads, and 16 with native '
        'ones, of which each task needs two.',
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
                'process only: a second one does not start. A power cut may lose the files; then '
                'tasks begin again.',
            ),
            ('memory', 'Nowhere. If its process ends, a task begins again. For one process only.'),
        ],
        help='Where finished steps of running tasks are saved, so that a run can be continued. '
        'If [DEFAULT] workers is more than 1, it must be "sql": only the database ensures '
        'that no other process writes for a task.',
    ),
]
