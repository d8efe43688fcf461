"""What a transaction does to one entry of the queue, apart from claiming it."""

import sqlalchemy as sa

from glance.db.models import LongText, task_queue
from glance.domain import errors
from glance.domain.entry import Outcome

_c = task_queue.c

# Does nothing if the entry has an outcome already. If a cancel was asked for, that is the reason,
# whatever else went wrong on the way to the end.
_SET_FAILURE = (
    sa.update(task_queue)
    .where(_c.task_id == sa.bindparam('entry'), _c.outcome.is_(None))
    .values(
        outcome=Outcome.FAILURE,
        message=sa.case(
            (_c.cancel_requested, str(errors.Cancelled())),
            else_=sa.bindparam('reason', type_=LongText),
        ),
    )
)
# Does nothing either if the task is to be cancelled.
_SET_SUCCESS = (
    sa.update(task_queue)
    .where(
        _c.task_id == sa.bindparam('entry'), _c.outcome.is_(None), _c.cancel_requested.is_(False)
    )
    .values(outcome=Outcome.SUCCESS)
)
_SET_WORK = (
    sa.update(task_queue)
    .where(_c.task_id == sa.bindparam('entry'))
    .values(flow_version=sa.bindparam('version'), work=sa.bindparam('text'))
)
_DELETE_ENTRY = sa.delete(task_queue).where(_c.task_id == sa.bindparam('entry'))

# The id of a logbook is that of its task. The database deletes its flow and atoms with it
# (glance/db/logbook.py).
_logbooks = sa.table('logbooks', sa.column('uuid', sa.String))
_DELETE_LOGBOOK = sa.delete(_logbooks).where(_logbooks.c.uuid == sa.bindparam('entry'))


def set_failure(connection: sa.Connection, task_id: str, message: str) -> bool:
    """Record the outcome 'failure'. Returns False if there is an outcome already.

    message  the reason, unless the task was to be cancelled
    """
    found = connection.execute(_SET_FAILURE, {'entry': task_id, 'reason': message})
    return found.rowcount > 0


def set_success(connection: sa.Connection, task_id: str) -> bool:
    """Record the outcome 'success'. Returns False if there is an outcome or a cancel already."""
    return connection.execute(_SET_SUCCESS, {'entry': task_id}).rowcount > 0


def set_work(connection: sa.Connection, task_id: str, version: int, text: str) -> None:
    """Set the work, as JSON text, and the flow version to which it belongs."""
    connection.execute(_SET_WORK, {'entry': task_id, 'version': version, 'text': text})


def delete_logbook(connection: sa.Connection, task_id: str) -> None:
    """Delete the record of the steps that have ended."""
    connection.execute(_DELETE_LOGBOOK, {'entry': task_id})


def delete(connection: sa.Connection, task_id: str) -> None:
    """Delete the entry and its logbook."""
    delete_logbook(connection, task_id)
    connection.execute(_DELETE_ENTRY, {'entry': task_id})
