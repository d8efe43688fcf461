"""glance-worker: does the steps that move bytes, for conductors anywhere.

It needs [taskflow_executor] engine_mode = worker-based, the database of the
conductors and their broker. It claims no tasks.
"""

from glance import threads

threads.use(threads.GREEN)  # before anything that knows sockets is imported

import collections.abc
import functools
import logging
import os
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
from glance.server import file_limit, signals

if typing.TYPE_CHECKING:
    from glance.worker import Worker

LOG = logging.getLogger(__name__)

PROGRAM = 'glance-worker'


def main(argv: collections.abc.Sequence[str] | None = None) -> int:
    try:
        with _start.errors_explained():
            conf = _start.configure(PROGRAM, argv, runs_tasks=conductor.runs_tasks)
            service_options.register_service_opts(conf)
            worker = _build(conf)
    except errors.ConfigError as error:
        return _start.fail(PROGRAM, error)
    file_limit.raise_soft_limit()  # each import holds a connection and a file
    received = signals.ProcessSignals()
    worker.start()
    LOG.info('Doing steps as process %s', os.getpid(), extra={'action': 'working'})
    reload = functools.partial(_start.reload, conf, PROGRAM, argv, conductor.runs_tasks)
    while received.next() is signals.Request.RELOAD:
        reload()
    received.kill_on_next(conf.graceful_shutdown_timeout)
    LOG.info('Stopping: no new steps')
    worker.stop(_start.grace(conf))
    received.stopped()
    LOG.info('Stopped')
    return 0


def _build(conf: cfg.ConfigOpts) -> 'Worker':
    mode = conf.taskflow_executor.engine_mode
    if conf.task.task_executor != 'taskflow' or mode != 'worker-based':
        raise errors.ConfigError(
            'glance-worker needs [task] task_executor = taskflow and [taskflow_executor] '
            f'engine_mode = worker-based, but they are {conf.task.task_executor} and {mode}.'
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
