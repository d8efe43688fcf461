"""TaskFlow's own logbook in files, one folder per claim, and what keeps it from doing harm.

    root/<task id>.<lease number>/   books, flow_details, atom_details: TaskFlow's

Nothing fences files: a run that lost its lease may still write. So each claim
has a folder of its own, and reads at most that of the claim before it, when
nobody can be writing there any more: it was handed back, or its process is
provably dead. All others begin again.

The files are not synced to disk. They outlive a process, however it ends, but
not the machine: what cannot be read then is begun again, as is a task whose
logbook cannot be written.
"""

import logging
import pathlib
import re
import shutil

from taskflow import exceptions, states
from taskflow.persistence import models
from taskflow.persistence.backends import impl_dir

from glance.domain.lease import Lease, LostLease
from glance.logbook import Remembering

LOG = logging.getLogger(__name__)

_SAFE = re.compile(r'\w[\w-]*')  # what may stand in a path


class DirLogbooks:
    """The logbooks in one folder: call it for that of a claim.

    check    check(lease): raises LostLease if there is a later claim
    is_dead  is_dead(owner): whether it is provably dead, and of this folder
    """

    def __init__(self, root, *, check, is_dead):
        self._root = pathlib.Path(root)
        self._is_dead = is_dead
        self.check = check

    def __call__(self, claim, flow):
        return DirLogbook(self, claim, flow)

    def forget(self, lease):
        """Remove the logbooks of this claim and of those before it, never of later ones."""
        for folder in self._root.glob(f'{_safe(lease.task_id)}.*'):
            number = folder.name.rpartition('.')[2]
            if number.isdecimal() and int(number) <= lease.number:
                shutil.rmtree(folder, ignore_errors=True)

    def sweep(self, is_queued):
        """Remove what tasks that have ended left when other logbooks were chosen meanwhile.

        is_queued  is_queued(lease): whether the task has an entry, of whichever number
        """
        for folder in self._root.glob('*.*'):
            task_id, _dot, number = folder.name.rpartition('.')
            if number.isdecimal() and _SAFE.fullmatch(task_id):
                lease = Lease(task_id, int(number))
                if not is_queued(lease):
                    self.forget(lease)

    def folder(self, task_id, number):
        return self._root / f'{_safe(task_id)}.{number}'

    def left_alone(self, claim):
        """Whether nobody can be writing into the logbook of the claim before this one."""
        return claim.predecessor is None or self._is_dead(claim.predecessor)


class DirLogbook(Remembering):
    """The logbook of one run; book and flow have the id of the task."""

    def __init__(self, books, claim, flow):
        super().__init__(flow)
        self._books = books
        self._claim = claim
        self._lease = claim.lease
        self._folder = books.folder(claim.lease.task_id, claim.lease.number)
        self._book = None  # once it is written
        self._writable = True

    def recall(self, flow):
        """The FlowDetail of the claim before this one with its finished steps, or None.

        What is recalled is copied: whoever finds another's folder leaves it as it was.
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
        for name in flow.holding({atom.name: atom.results for atom in finished.values()}):
            atom = finished.pop(name)
            atom.intention = states.EXECUTE  # to be undone if need be
            detail.add(atom)
            self.remember(atom)
        if finished:
            LOG.info('Task %s: %s must be done again', task_id, ', '.join(finished))
        self.recalled(detail)
        shutil.rmtree(earlier, ignore_errors=True)
        return detail

    def remember(self, atom):
        """Write a finished step, and with the first one book and flow. Raises LostLease."""
        error = None
        if self._writable:
            try:
                self._write(atom)
            except (OSError, exceptions.TaskFlowException) as raised:
                error = raised
        try:
            self._books.check(self._lease)
        except LostLease:
            # A later claim may have tidied up before this was written, and will not again.
            self._remove()
            raise
        if error is not None:
            self._writable = False  # later steps without this one would be of no use
            self._remove()
            LOG.warning(
                'Task %s: its logbook in %s cannot be written; if this process ends before '
                'the task does, the task begins again: %s',
                self._lease.task_id,
                self._folder,
                error.__cause__ or error,
                extra={'action': 'logbook_not_written'},
            )

    def _remove(self):
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, atom):
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
            connection.update_flow_details(flow)  # writes no atoms but those it is given


def _open(folder):
    """TaskFlow's directory backend in this folder."""
    return impl_dir.DirBackend({'path': str(folder)}).get_connection()


def _safe(task_id):
    if not _SAFE.fullmatch(task_id):
        raise ValueError(f'{task_id!r} is no id of a task.')
    return task_id
