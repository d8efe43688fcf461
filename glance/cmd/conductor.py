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
import typing

from oslo_config import cfg
from oslo_service import opts as service_options

from glance import bootstrap, database
from glance.cmd import _start
from glance.components import SharedComponents
from glance.domain import errors
from glance.folders import Folders
from glance.runner import Runner
from glance.server import file_limit, signals

LOG = logging.getLogger(__name__)

PROGRAM = 'glance-conductor'


def main(argv: collections.abc.Sequence[str] | None = None) -> int:
    try:
        with _start.errors_explained():
            conf = _start.configure(PROGRAM, argv, runs_tasks=runs_tasks)
            service_options.register_service_opts(conf)  # graceful_shutdown_timeout
            runner = _build(conf)
    except errors.ConfigError as error:
        return _start.fail(PROGRAM, error)
    reload = functools.partial(_start.reload, conf, PROGRAM, argv, runs_tasks)
    conduct(conf, runner, reload, _start.grace(conf))
    return 0


def runs_tasks(_conf: cfg.ConfigOpts) -> bool:
    """For _start.configure(): a conductor always does."""
    return True


def _build(conf: cfg.ConfigOpts) -> Runner:
    bootstrap.check_executor(conf, processes=1)
    folders = Folders(conf)
    _start.log_paths(conf, folders)
    _start.log_executor(conf, 'this process; it serves no requests')
    database.prepare_database(conf, folders)
    parts = SharedComponents(conf, folders)
    return Runner(conf, folders, parts, has_children=True)


class Work(typing.Protocol):
    """What conduct() does until a signal asks to stop."""

    def start(self) -> None: ...
    def stop(self, grace: float) -> None: ...


class Words(typing.NamedTuple):
    """What the log calls the work: what it is, what there will be no more of, and the action."""

    work: str
    items: str
    action: str


WORDS = Words('Running tasks', 'tasks', 'conducting')


def conduct(
    conf: cfg.ConfigOpts,
    runner: Work,
    reload: collections.abc.Callable[[], bool],
    grace: float,
    *,
    words: Words = WORDS,
) -> None:
    """Run tasks until a signal asks to stop; or do other work, which words name.

    reload  reads the configuration again
    grace   seconds that tasks get to end before they are handed back
    """
    file_limit.raise_soft_limit()  # each import holds a connection and a file
    received = signals.ProcessSignals()
    runner.start()
    LOG.info('%s as process %s', words.work, os.getpid(), extra={'action': words.action})
    while received.next() is signals.Request.RELOAD:
        reload()
    received.kill_on_next(conf.graceful_shutdown_timeout)
    LOG.info('Stopping: no new %s', words.items)
    runner.stop(grace)
    received.stopped()
    LOG.info('Stopped')


if __name__ == '__main__':
    sys.exit(main())
