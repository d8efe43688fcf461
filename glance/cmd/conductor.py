"""glance-conductor: runs tasks, and serves no requests.

Any number of conductors can share one database. Each is one process: the
options [DEFAULT] workers and [task] conduct are for glance-api only.
"""

from glance import threads

threads.use(threads.GREEN)  # before anything that knows sockets is imported

import collections.abc
import functools
import logging
import os
import sys

from oslo_config import cfg
from oslo_service import opts as service_options

from glance import bootstrap, database
from glance.cmd import _start
from glance.domain import errors
from glance.folders import Folders
from glance.server import file_limit, signals

LOG = logging.getLogger(__name__)

PROGRAM = 'glance-conductor'


def main(argv: collections.abc.Sequence[str] | None = None) -> int:
    try:
        with _start.errors_explained():
            conf = _start.configure(PROGRAM, argv, runs_tasks=_runs_tasks)
            service_options.register_service_opts(conf)  # graceful_shutdown_timeout
            runner = _build(conf)
    except errors.ConfigError as error:
        return _start.fail(PROGRAM, error)
    _conduct(conf, runner, functools.partial(_start.reload, conf, PROGRAM, argv, _runs_tasks))
    return 0


def _runs_tasks(_conf: cfg.ConfigOpts) -> bool:
    return True


def _build(conf: cfg.ConfigOpts) -> bootstrap.Runner:
    bootstrap.check_executor(conf, processes=1)
    folders = Folders(conf)
    _start.log_paths(conf, folders)
    _start.log_executor(conf, 'this process; it serves no requests')
    database.prepare_database(conf, folders)
    return bootstrap.Runner(conf, folders, bootstrap.SharedComponents(conf, folders))


def _conduct(
    conf: cfg.ConfigOpts, runner: bootstrap.Runner, reload: collections.abc.Callable[[], bool]
) -> None:
    """Run tasks until a signal asks to stop.

    reload  reads the configuration again
    """
    file_limit.raise_soft_limit()  # each import holds a connection and a file
    received = signals.ProcessSignals()
    runner.start()
    LOG.info('Running tasks as process %s', os.getpid(), extra={'action': 'conducting'})
    while received.next() is signals.Request.RELOAD:
        reload()
    received.kill_on_next(conf.graceful_shutdown_timeout)
    LOG.info('Stopping: no new tasks')
    runner.stop(_start.grace(conf))
    LOG.info('Stopped')


if __name__ == '__main__':
    sys.exit(main())
