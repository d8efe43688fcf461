"""glance-worker: does the steps that move bytes, for conductors anywhere.

It needs [taskflow_executor] engine_mode = worker-based, the database of the
conductors and their broker. It claims no tasks.
"""

from glance import threads

threads.use(threads.GREEN)  # before anything that knows sockets is imported

import collections.abc
import functools
import sys
import typing

from oslo_config import cfg
from oslo_service import opts as service_options

from glance import bootstrap, database
from glance.cmd import _start, conductor
from glance.components import SharedComponents
from glance.domain import errors
from glance.folders import Folders
from glance.messaging import configured

if typing.TYPE_CHECKING:
    from glance.worker import Worker

PROGRAM = 'glance-worker'
WORDS = conductor.Words('Doing steps', 'steps', 'working')


def main(argv: collections.abc.Sequence[str] | None = None) -> int:
    try:
        with _start.errors_explained():
            conf = _start.configure(PROGRAM, argv, runs_tasks=conductor.runs_tasks)
            service_options.register_service_opts(conf)
            worker = _build(conf)
    except errors.ConfigError as error:
        return _start.fail(PROGRAM, error)
    reload = functools.partial(_start.reload, conf, PROGRAM, argv, conductor.runs_tasks)
    conductor.conduct(conf, worker, reload, _start.grace(conf), words=WORDS)
    return 0


def _build(conf: cfg.ConfigOpts) -> 'Worker':
    if not configured.is_worker_based(conf):
        raise errors.ConfigError(
            'glance-worker needs [task] task_executor = taskflow and [taskflow_executor] '
            f'engine_mode = worker-based, but they are {conf.task.task_executor} and '
            f'{conf.taskflow_executor.engine_mode}.'
        )
    configured.broker(conf.taskflow_workers)  # says what is missing, before kombu is imported
    from glance.worker import Worker

    bootstrap.check_executor(conf, processes=1)
    folders = Folders(conf)
    _start.log_paths(conf, folders)
    database.prepare_database(conf, folders)
    return Worker(conf, folders, SharedComponents(conf, folders))


if __name__ == '__main__':
    sys.exit(main())
