"""TaskFlow's own logbook in files, one folder per claim, made safe against late writers.

    root/<task id>.<lease number>/   TaskFlow's folders books, flow_details, atom_details

No fence protects files: a run that has lost its lease may still write. Therefore
each claim has a folder of its own. It reads only the folder of the claim before
it, and only if nobody can be writing there any more: the task was handed back, or
the process is provably dead. In all other cases the task begins again.

The files are not synced to disk. They survive the end of a process, but not a
power failure. A task begins again if its logbook cannot be read or written.
"""

import collections.abc
import fcntl
import logging
import os
import pathlib
import re
import shutil
import typing

from taskflow import exceptions, states
from taskflow.persistence import models
from taskflow.persistence.backends import impl_dir

from glance.domain import errors
from glance.domain.entry import Claim
from glance.domain.lease import Lease, LostLease
from glance.interfaces.flow import Flow
from glance.logbook import PersistentLogbook

LOG = logging.getLogger(__name__)

_SAFE = re.compile(r'\w[\w-]*')  # a task id that is safe as part of a path


class DirLogbooks:
    """The logbooks in one folder. Call it with a claim and a flow to get a logbook.

    verify_lease  verify_lease(lease) raises LostLease if there is a later claim
    is_dead       is_dead(holder): whether a holder is a dead process that used this folder
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        verify_lease: collections.abc.Callable[[Lease], None],
        is_dead: collections.abc.Callable[[str], bool],
    ) -> None:
        self._root = pathlib.Path(root)
        self._is_dead = is_dead
        self.verify_lease = verify_lease

    def __call__(self, claim: Claim, flow: Flow) -> 'DirLogbook':
        return DirLogbook(self, claim, flow)

    def reserve(self) -> int:
        """Let no other process use the folder until the returned descriptor is closed.

        Raises ConfigError if one does: nothing keeps two from writing for the same task.
        """
        descriptor = os.open(f'{self._root}.lock', os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise errors.ConfigError(
                '[taskflow_executor] persistence = dir is for one process, and another one '
                f'runs tasks with {self._root} already. Choose persistence = sql, or give this '
                'process a state_path of its own.'
            ) from None
        return descriptor

    def remove(self, lease: Lease) -> None:
        """Remove the logbooks of this claim and of earlier ones, never of later ones."""
        for folder in self._root.glob(f'{_safe(lease.task_id)}.*'):
            number = folder.name.rpartition('.')[2]
            if number.isdecimal() and int(number) <= lease.number:
                shutil.rmtree(folder, ignore_errors=True)

    def sweep(self, is_queued: collections.abc.Callable[[Lease], bool]) -> None:
        """Remove the logbooks of tasks that ended while another persistence was configured.

        is_queued  is_queued(lease): whether the task has an entry, with any lease number
        """
        for folder in self._root.glob('*.*'):
            task_id, _dot, number = folder.name.rpartition('.')
            if number.isdecimal() and _SAFE.fullmatch(task_id):
                lease = Lease(task_id, int(number))
                if not is_queued(lease):
                    self.remove(lease)

    def folder(self, task_id: str, number: int) -> pathlib.Path:
        return self._root / f'{_safe(task_id)}.{number}'

    def left_alone(self, claim: Claim) -> bool:
        """Whether nobody can be writing to the logbook of the claim before this one."""
        return claim.predecessor is None or self._is_dead(claim.predecessor)


class DirLogbook(PersistentLogbook):
    """The logbook of one run; book and flow have the id of the task."""

    def __init__(self, books: DirLogbooks, claim: Claim, flow: Flow) -> None:
        super().__init__(flow)
        self._books = books
        self._claim = claim
        self._lease = claim.lease
        self._folder = books.folder(claim.lease.task_id, claim.lease.number)
        self._book: models.LogBook | None = None  # set when it has been written
        self._writable = True

    def load(self, flow: Flow) -> models.FlowDetail | None:
        """The FlowDetail of the claim before this one with its finished steps, or None.

        The finished steps are copied into the folder of this claim.
        """
        task_id = self._lease.task_id
        earlier = self._books.folder(task_id, self._lease.number - 1)
        if not earlier.is_dir() or not self._books.left_alone(self._claim):
            return None
        [known] = _open(earlier).get_logbook(task_id)
        finished = {
            atom.name: atom
            for atom in known
            if atom.state == states.SUCCESS and isinstance(atom, models.TaskDetail)
        }
        detail = models.FlowDetail(flow.type, task_id)
        detail.state = states.PENDING
        for name in flow.resumable_steps({atom.name: atom.results for atom in finished.values()}):
            atom = finished.pop(name)
            atom.intention = states.EXECUTE  # the engine undoes it if a later step fails
            detail.add(atom)
            self.save(atom)
        if finished:
            LOG.info('Task %s: %s must be done again', task_id, ', '.join(finished))
        self.note_loaded(detail)
        shutil.rmtree(earlier, ignore_errors=True)
        return detail

    def save(self, atom: models.AtomDetail) -> None:
        """Write a finished step; the first one together with book and flow. Raises LostLease."""
        error: Exception | None = None
        if self._writable:
            try:
                self._write(atom)
            except (OSError, exceptions.TaskFlowException) as raised:
                error = raised
        try:
            self._books.verify_lease(self._lease)
        except LostLease:
            # A later claim may have cleaned up before this was written, and does so only once.
            self._remove()
            raise
        if error is not None:
            self._writable = False  # without this step, later ones are of no use
            self._remove()
            LOG.warning(
                'Task %s: its logbook in %s cannot be written; if this process ends before '
                'the task does, the task begins again: %s',
                self._lease.task_id,
                self._folder,
                error.__cause__ or error,
                extra={'action': 'logbook_not_written'},
            )

    def _remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, atom: models.AtomDetail) -> None:
        task_id = self._lease.task_id
        flow = models.FlowDetail(task_id, task_id)
        flow.state = states.RUNNING
        flow.add(atom)
        connection = _open(self._folder)
        if self._book is None:
            connection.upgrade()
            self._book = models.LogBook(task_id, task_id)
            self._book.add(flow)
            connection.save_logbook(self._book)
        else:
            connection.update_flow_details(flow)  # writes only the atoms of this FlowDetail


def _open(folder: pathlib.Path) -> typing.Any:
    """A connection of TaskFlow's directory backend to this folder."""
    return impl_dir.DirBackend({'path': str(folder)}).get_connection()


def _safe(task_id: str) -> str:
    if not _SAFE.fullmatch(task_id):
        raise ValueError(f'{task_id!r} is no id of a task.')
    return task_id
