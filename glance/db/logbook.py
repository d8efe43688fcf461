"""TaskFlow's logbook in the service's own database: only what a resumption needs.

The tables and the interface are TaskFlow's, the implementation is not: that of
TaskFlow reads before it writes, and writes each change of a state, which takes
56 statements in 20 commits for four atoms. Here each step is written once, when
it has succeeded, in one fenced transaction. The first step also writes the flow
and the book. Nothing else is needed: a step or an undo that was interrupted is
done again, because both can run twice.
"""

import collections.abc
import logging
import typing

import sqlalchemy as sa
from oslo_utils import uuidutils
from taskflow import states
from taskflow.persistence import models
from taskflow.persistence.backends.sqlalchemy import tables

from glance.db import fence
from glance.db.models import metadata, utcnow
from glance.db.sessions import Database
from glance.domain.lease import Lease
from glance.domain.sent_steps import SentSteps
from glance.interfaces.flow import Flow
from glance.logbook import PersistentLogbook

T = typing.TypeVar('T')

LOG = logging.getLogger(__name__)

_tables = tables.fetch(metadata)
_books, _flows, _atoms = _tables.logbooks, _tables.flowdetails, _tables.atomdetails

# For the cascade: deleting a book finds its flows, deleting a flow finds its atoms.
sa.Index('ix_flowdetails_parent_uuid', _flows.c.parent_uuid)
sa.Index('ix_atomdetails_parent_uuid', _atoms.c.parent_uuid)

_INSERT_BOOK = sa.insert(_books)
_INSERT_FLOW = sa.insert(_flows)
_INSERT_ATOM = sa.insert(_atoms)
_SELECT_FLOW = (
    sa.select(_flows.c.uuid)
    .join(_books, _books.c.uuid == _flows.c.parent_uuid)
    .where(_flows.c.uuid == sa.bindparam('task'))
)
_SELECT_FINISHED_ATOMS = sa.select(_atoms).where(
    _atoms.c.parent_uuid == sa.bindparam('task'), _atoms.c.state == states.SUCCESS
)
_DELETE_FLOW = sa.delete(_flows).where(_flows.c.uuid == sa.bindparam('task'))
_DELETE_ATOMS = sa.delete(_atoms).where(
    _atoms.c.parent_uuid == sa.bindparam('task'),
    _atoms.c.name.in_(sa.bindparam('names', expanding=True)),
)


class SqlLogbook(PersistentLogbook):
    """The logbook of one run; book and flow have the id of the task."""

    def __init__(self, database: Database, lease: Lease, flow: Flow) -> None:
        super().__init__(flow)
        self._database = database
        self._lease = lease
        self._begun = False  # whether book and flow are written
        self._sent = SentSteps()

    def load(self, flow: Flow) -> models.FlowDetail | None:
        """The FlowDetail of an earlier claim with its finished steps, or None.

        Deletes finished steps that the run cannot be resumed after, by
        Flow.resumable_steps().
        """
        rows = fence.read(self._database, self._finished)
        if rows is None:
            return None
        detail = models.FlowDetail(flow.type, self._lease.task_id)
        detail.state = states.PENDING
        finished = {row.name: row for row in rows}
        for name in flow.resumable_steps({row.name: row.results for row in rows}):
            detail.add(models.TaskDetail.from_dict(_as_dict(finished.pop(name))))
        if finished:
            LOG.info('Task %s: %s must be done again', self._lease.task_id, ', '.join(finished))
            self.write(
                lambda connection: connection.execute(
                    _DELETE_ATOMS, {'task': self._lease.task_id, 'names': list(finished)}
                )
            )
        self._begun = True
        self.note_loaded(detail)
        return detail

    def _finished(
        self, connection: sa.Connection
    ) -> collections.abc.Sequence[sa.Row[typing.Any]] | None:
        """The rows of finished steps, or None if no earlier claim wrote the flow."""
        if connection.execute(_SELECT_FLOW, {'task': self._lease.task_id}).first() is None:
            return None
        return connection.execute(_SELECT_FINISHED_ATOMS, {'task': self._lease.task_id}).all()

    def write(self, function: collections.abc.Callable[[sa.Connection], T]) -> T:
        """Run function(connection) in a fenced transaction."""
        return fence.write(self._database, self._lease, function)

    def results(self) -> dict[str, typing.Any] | None:
        rows = fence.read(self._database, self._finished)
        if rows is None:
            return None
        self._begun = True
        for row in rows:
            self.note_saved(row.name)
        return {row.name: row.results for row in rows}

    def begin(self) -> None:
        """Write book and flow, if they are not written, before other processes save steps."""
        if not self._begun and self.results() is None:
            self.write(self._insert_flow)
            self._begun = True

    def note_sent(self, step: str, worker: str, sending: str) -> None:
        """Write into the entry that a worker is to do a step."""
        self._sent = self._sent.plus(step, worker, sending)
        text = self._sent.to_text(self._lease.number)
        fence.write(self._database, self._lease, lambda _connection: None, sent=text)

    def save_result(self, name: str, given: typing.Any) -> None:
        """Write a finished step that no engine ran in this process. begin() was called."""
        detail = models.TaskDetail(name, uuidutils.generate_uuid())
        detail.put(states.SUCCESS, given)
        detail.state, detail.version = states.SUCCESS, '1.0'
        self.ended(detail)

    def _insert_flow(self, connection: sa.Connection) -> None:
        task_id, at = self._lease.task_id, utcnow()
        if self._lease.number > 1:  # a flow without a book, if an operator deleted it
            connection.execute(_DELETE_FLOW, {'task': task_id})
        connection.execute(
            _INSERT_BOOK, {'uuid': task_id, 'name': task_id, 'meta': {}, 'created_at': at}
        )
        connection.execute(
            _INSERT_FLOW,
            {
                'uuid': task_id,
                'parent_uuid': task_id,
                'name': task_id,
                'meta': {},
                'state': states.RUNNING,
                'created_at': at,
            },
        )

    def save(self, atom: models.AtomDetail) -> None:
        """Write a finished step. The first step also writes book and flow.

        The same transaction records the progress in the entry. If the process
        then dies, the attempt counts as one that got further.
        """
        task_id, at = self._lease.task_id, utcnow()
        finished = self.finished + 1

        def insert(connection: sa.Connection) -> None:
            if not self._begun:
                self._insert_flow(connection)
            connection.execute(
                _INSERT_ATOM,
                {
                    'uuid': atom.uuid,
                    'parent_uuid': task_id,
                    'name': atom.name,
                    'version': atom.version,
                    'state': atom.state,
                    'intention': states.EXECUTE,
                    'results': atom.results,
                    'meta': {},
                    'atom_type': 'TASK_DETAIL',
                    'created_at': at,
                },
            )

        fence.write(self._database, self._lease, insert, finished=finished)
        self._begun = True


def _as_dict(row: sa.Row[typing.Any]) -> dict[str, typing.Any]:
    """A row as TaskFlow's from_dict() takes it: a step that succeeded and can be undone."""
    return {
        'name': row.name,
        'uuid': row.uuid,
        'state': states.SUCCESS,
        'intention': states.EXECUTE,
        'results': row.results,
        'version': row.version,
        'meta': {},
    }
