"""TaskFlow's logbook on the service's own database: what a resumption needs, no more.

TaskFlow's tables and interface, but its stock implementation reads before it
writes and writes each change of state: 56 statements in 20 commits for four
atoms. Here a step is written once, when it has ended well, in one fenced
transaction; flow and book come with the first of them. What is not written is
not needed: a step that was at work is done again, and an undo that was cut off
is done again, because both can run twice.
"""

import logging

import sqlalchemy as sa
from taskflow import states
from taskflow.persistence import models
from taskflow.persistence.backends.sqlalchemy import tables

from glance.db import fence
from glance.db.models import metadata, task_queue, utcnow
from glance.logbook import Remembering

LOG = logging.getLogger(__name__)

_tables = tables.fetch(metadata)
_books, _flows, _atoms = _tables.logbooks, _tables.flowdetails, _tables.atomdetails

# Deleting a book looks for its flows, and a flow for its atoms.
sa.Index('ix_flowdetails_parent_uuid', _flows.c.parent_uuid)
sa.Index('ix_atomdetails_parent_uuid', _atoms.c.parent_uuid)

_INSERT_BOOK = sa.insert(_books)
_INSERT_FLOW = sa.insert(_flows)
_INSERT_ATOM = sa.insert(_atoms)
_FLOW = (
    sa.select(_flows.c.uuid)
    .join(_books, _books.c.uuid == _flows.c.parent_uuid)
    .where(_flows.c.uuid == sa.bindparam('t'))
)
_FINISHED = sa.select(_atoms).where(
    _atoms.c.parent_uuid == sa.bindparam('t'), _atoms.c.state == states.SUCCESS
)
_FURTHER = (
    sa.update(task_queue)
    .where(
        task_queue.c.task_id == sa.bindparam('t'), task_queue.c.furthest_step < sa.bindparam('s')
    )
    .values(furthest_step=sa.bindparam('s'), furthest_bytes=0)
)
_FORGET_FLOW = sa.delete(_flows).where(_flows.c.uuid == sa.bindparam('t'))
_FORGET_ATOMS = sa.delete(_atoms).where(
    _atoms.c.parent_uuid == sa.bindparam('t'),
    _atoms.c.name.in_(sa.bindparam('names', expanding=True)),
)


class SqlLogbook(Remembering):
    """The logbook of one run; book and flow have the id of the task."""

    def __init__(self, database, lease, flow):
        super().__init__(flow)
        self._database = database
        self._lease = lease
        self._begun = False  # book and flow are written

    def recall(self, flow):
        """The FlowDetail of an earlier claim with its finished steps, or None.

        Finished steps behind which the run cannot be taken up (Flow.holding)
        are forgotten.
        """
        rows = fence.read(self._database, self._finished)
        if rows is None:
            return None
        detail = models.FlowDetail(flow.type, self._lease.task_id)
        detail.state = states.PENDING
        finished = {row.name: row for row in rows}
        for name in flow.holding({row.name: row.results for row in rows}):
            detail.add(models.TaskDetail.from_dict(_as_dict(finished.pop(name))))
        if finished:
            LOG.info('Task %s: %s must be done again', self._lease.task_id, ', '.join(finished))
            self.write(
                lambda connection: connection.execute(
                    _FORGET_ATOMS, {'t': self._lease.task_id, 'names': list(finished)}
                )
            )
        self._begun = True
        self.recalled(detail)
        return detail

    def _finished(self, connection):
        if connection.execute(_FLOW, {'t': self._lease.task_id}).first() is None:
            return None
        return connection.execute(_FINISHED, {'t': self._lease.task_id}).all()

    def write(self, function):
        return fence.write(self._database, self._lease, function)

    def remember(self, atom):
        """Write a finished step, and with the first one book and flow.

        The entry's furthest point goes with it, so that a death right after it
        is no attempt that got nowhere.
        """
        task_id, at = self._lease.task_id, utcnow()
        finished = self.finished + 1

        def insert(connection):
            if not self._begun:
                if self._lease.number > 1:  # only a book removed by hand leaves its flow
                    connection.execute(_FORGET_FLOW, {'t': task_id})
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
            connection.execute(_FURTHER, {'t': task_id, 's': finished})

        self.write(insert)
        self._begun = True


def _as_dict(row):
    """A row as TaskFlow's from_dict() takes it: ended well, to be undone if need be."""
    return {
        'name': row.name,
        'uuid': row.uuid,
        'state': states.SUCCESS,
        'intention': states.EXECUTE,
        'results': row.results,
        'version': row.version,
        'meta': {},
    }
