"""The program of a child that runs suspects: glance.domain.suspects tells what they are.

Only glance.engine.child_process starts it. It claims its group, and ends when none
of it is left here, or when its parent ends.
"""

from glance import native_threads, threads

threads.use(threads.NATIVE)  # the parent chooses, by GLANCE_THREADS

import collections.abc
import dataclasses
import functools
import os
import signal
import sys
import threading
import time
import typing

from oslo_config import cfg
from oslo_service import opts as service_options

from glance.cmd import _start, conductor
from glance.components import SharedComponents
from glance.db import deadlines, migrations, outages
from glance.db.sessions import Database
from glance.db.task_queue import SqlTaskQueue
from glance.domain import errors
from glance.domain.entry import UNKNOWN_HOLDER, Claim
from glance.domain.lease import Acquitted
from glance.domain.suspects import SuspectGroup
from glance.engine.active_runs import ActiveRuns
from glance.engine.lease_holders import LeaseHolder
from glance.engine.lease_policy import OUTAGE_PAUSE
from glance.folders import Folders
from glance.messaging import configured
from glance.runner import Runner

PROGRAM = 'glance-suspects'
INTERVAL = 0.2  # seconds between two looks whether this process is still needed

OPTS = [
    cfg.IntOpt('deaths', required=True),
    cfg.IntOpt('size', required=True),
    cfg.StrOpt('holder', required=True),
    cfg.IntOpt('descriptor', required=True),
    cfg.StrOpt('deployment', required=True),
]


class GroupQueue(SqlTaskQueue):
    """The queue of which only one group can be claimed, once.

    after_workers  whether workers may have written, and may still write, to the files of
                   these tasks, so that the death of the last holder proves nothing
    """

    def __init__(
        self, database: typing.Any, *, time_to_live: int, group: SuspectGroup, after_workers: bool
    ) -> None:
        super().__init__(database, time_to_live=time_to_live)
        self._after_workers = after_workers
        self._group = group
        self._left = group.size

    @property
    def is_claimed(self) -> bool:
        """Whether nothing more is to be claimed."""
        return self._left == 0

    def claim(self, holder: str, limit: int, **options: typing.Any) -> list[Claim]:
        wanted = min(limit, self._left)
        if not wanted:
            return []
        claims = super().claim(holder, wanted, **options | {'suspects': self._group})
        if self._after_workers:
            claims = [dataclasses.replace(one, predecessor=UNKNOWN_HOLDER) for one in claims]
        self._left = self._left - wanted if len(claims) == wanted else 0
        return claims


def main(argv: collections.abc.Sequence[str] | None = None) -> int:
    # If memory is short, this process is to be ended, and not one with tasks of others.
    with open('/proc/self/oom_score_adj', 'w') as file:
        file.write('1000')
    native_threads.start_native(_stop_with_parent, 'parent')
    try:
        with _start.errors_explained():
            conf = _start.configure(PROGRAM, argv, cli_opts=OPTS, runs_tasks=conductor.runs_tasks)
            service_options.register_service_opts(conf)
            runner, queue, holder = _build(conf)
    except errors.ConfigError as error:
        return _start.fail(PROGRAM, error)
    threading.Thread(
        target=_stop_when_done, args=(runner, queue, holder), name='done', daemon=True
    ).start()
    reload = functools.partial(_start.reload, conf, PROGRAM, argv, conductor.runs_tasks, OPTS)
    conductor.conduct(conf, runner, reload, grace=0)
    return 0


def _build(conf: cfg.ConfigOpts) -> tuple[Runner, GroupQueue, LeaseHolder]:
    folders = Folders(conf)
    # Workers have many tasks at a time, so a suspect runs here and not there.
    after_workers = conf.taskflow_executor.engine_mode == configured.WORKER_BASED
    if after_workers:
        conf.set_override('engine_mode', 'parallel', 'taskflow_executor')
    parts = SharedComponents(conf, folders)
    parts.queue = queue = GroupQueue(
        parts.database,
        time_to_live=conf.task.task_time_to_live,
        group=SuspectGroup(conf.deaths, conf.size),
        after_workers=after_workers,
    )
    _require_same_deployment(parts.database, queue, conf.deployment)
    holder = LeaseHolder.adopt(folders.run, conf.holder, conf.descriptor)
    return Runner(conf, folders, parts, holder=holder), queue, holder


def _require_same_deployment(database: Database, queue: SqlTaskQueue, wanted: str) -> None:
    """Raises ConfigError if the configuration names another database than its parent read.

    Waits for a database that does not answer.
    """
    while True:
        try:
            with deadlines.within(deadlines.TRANSACTION_TIME), outages.Named():
                is_empty = migrations.version(database.engine) is None
                found = None if is_empty else queue.deployment()
        except errors.DatabaseUnavailable:
            time.sleep(OUTAGE_PAUSE)
            continue
        if found != wanted:
            raise errors.ConfigError(
                'The configuration names another database than when the service was started.'
            )
        return


def _stop_with_parent() -> None:
    """Stop when the parent has ended: it holds the other end of the standard input."""
    os_ = threads.original('os')
    while os_.read(0, 1):
        pass
    os_.kill(os_.getpid(), signal.SIGTERM)


def _stop_when_done(runner: Runner, queue: GroupQueue, holder: LeaseHolder) -> None:
    """Stop when no task is left here. One that gets further is handed back: it is innocent."""
    runs = runner.executor.runs
    while not queue.is_claimed or _held(queue, holder):
        if runner.resumes and isinstance(runs, ActiveRuns):
            for run in runs:
                if run.best_progress > run.claim.best_progress:
                    run.stop = run.stop or Acquitted()
        time.sleep(INTERVAL)
    os.kill(os.getpid(), signal.SIGTERM)


def _held(queue: GroupQueue, holder: LeaseHolder) -> bool:
    try:
        return bool(queue.held(holder.name))
    except errors.DatabaseUnavailable:
        return True


if __name__ == '__main__':
    sys.exit(main())
