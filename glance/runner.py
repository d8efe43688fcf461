"""Runs the tasks of one process, and sweeps."""

import collections.abc
import os
import threading
import typing

from oslo_config import cfg

from glance import plugins, settings
from glance.components import NOTHING_REPLACED, Replacements, SharedComponents, fill_toolbox, first
from glance.domain.lease import DatabaseGone, Lease, LostLease
from glance.engine.child_process import ChildProcesses
from glance.engine.dead_holders import DeadHolderWatch
from glance.engine.lease_holders import LeaseHolder
from glance.engine.suspect_runner import SuspectRunner
from glance.engine.sweeper import Sweeper
from glance.folders import Folders
from glance.image_data import files
from glance.image_data.staging import FolderStaging
from glance.interfaces.executor import LogbookKind, TaskExecutor
from glance.stores.store_watch import StoreWatch

if typing.TYPE_CHECKING:
    from glance.engine.dir_logbook import DirLogbooks

SWEEPER_STOP_TIMEOUT = 2.0  # seconds to wait for a sweep that is under way


class Runner:
    """Runs the tasks of one process, and sweeps. It fills the toolbox of the steps.

    holder        the name under which a child runs suspects; others register one
    has_children  whether suspects run in children, which read the same configuration files
    resumes       whether a later claim can use the steps that a run has finished
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        folders: Folders,
        parts: SharedComponents,
        replacements: Replacements = NOTHING_REPLACED,
        *,
        holder: LeaseHolder | None = None,
        has_children: bool = False,
    ) -> None:
        self.database = parts.database
        self.queue = parts.queue
        self._is_child = holder is not None
        self._reserved: int | None = None  # keeps other processes from its logbooks
        self._holder = holder or LeaseHolder.register(folders.run)
        self._dead_holders = DeadHolderWatch(self.queue, self._holder)
        self._suspects = None
        if has_children:
            arguments = [*settings.file_arguments(conf), '--deployment', self.queue.deployment()]
            self._suspects = SuspectRunner(self.queue, ChildProcesses(folders.run, arguments))
            reload = self._suspects.reload
            conf.register_mutate_hook(lambda _conf, _changed: reload())
        self._logbooks = folders.state / 'logbooks'
        staging = first(
            replacements.staging,
            lambda: FolderStaging(
                str(folders.staging), self._holder.is_dead, self._holder.is_dead_here
            ),
        )
        self.sweeper = Sweeper(parts.images, parts.tasks, parts.stores, staging, self._is_queued)
        make_executor: typing.Any = replacements.executor or plugins.executor_class(
            conf.task.task_executor
        )
        kind = make_executor.logbook_kind(conf)
        self.resumes = kind is not None
        own_tools = plugins.own_tools(conf, parts.task_types.usable)
        flows = {name: parts.task_types.usable[name].flow for name in own_tools}
        self.executor: TaskExecutor = make_executor(
            conf, parts.queue, flows, self._holder.name, self._logbook(kind)
        )
        self.executor.see_folders(StoreWatch(parts.stores, folders.id_of_store).look)
        fill_toolbox(conf, parts, self.executor.staging(staging), self.executor.runs, own_tools)

    def _logbook(
        self, kind: LogbookKind | None
    ) -> collections.abc.Callable[..., typing.Any] | None:
        """logbook(claim, flow) for executors. None if finished steps are not saved."""
        if kind is None:
            return None
        # Both kinds of logbook import TaskFlow, which other executors do not need.
        if kind is LogbookKind.DIR:
            files.ensure_folder(str(self._logbooks), 'folder of the logbooks')
            logbooks = self._dir_logbooks()
            if not self._is_child:  # which may use those of its parent
                self._reserved = logbooks.reserve()
            return logbooks
        from glance.db.logbook import SqlLogbook

        return lambda claim, flow: SqlLogbook(self.database, claim.lease, flow)

    def _dir_logbooks(self) -> 'DirLogbooks':
        from glance.engine.dir_logbook import DirLogbooks

        return DirLogbooks(
            self._logbooks, verify_lease=self.queue.verify_lease, is_dead=self._holder.is_dead
        )

    def _is_queued(self, lease: Lease) -> bool:
        try:
            self.queue.outcome(lease)
        except LostLease:
            return False
        except DatabaseGone:
            pass  # nobody knows now; the next start looks again
        return True

    def start(self) -> None:
        """Free the tasks that dead processes of this host held, and begin to run tasks."""
        if not self._is_child:  # all this is the business of its parent
            self._dead_holders.start()
            if self._logbooks.is_dir() and any(self._logbooks.iterdir()):
                self._dir_logbooks().sweep(self._is_queued)
            self.sweeper.start()
        self.executor.start()
        if self._suspects:
            self._suspects.start()

    def stop(self, grace: float = 0) -> None:
        """Stop running tasks, and close everything."""
        self.stop_tasks(grace)
        self.close()

    def stop_tasks(self, grace: float) -> None:
        """Stop running tasks, those of the child included.

        A task that does not end within grace seconds is handed back to the queue.
        """
        self._dead_holders.stop()
        child = threading.Thread(target=self._stop_suspects, args=(grace,), name='stop-suspects')
        child.start()
        self.executor.stop(grace)
        child.join()

    def _stop_suspects(self, grace: float) -> None:
        if self._suspects:
            self._suspects.stop(grace)

    def close(self) -> None:
        """Release what a stopped runner still holds."""
        self.sweeper.stop(SWEEPER_STOP_TIMEOUT)
        self._holder.release()
        if self._reserved is not None:
            os.close(self._reserved)
            self._reserved = None
        self.database.close()
