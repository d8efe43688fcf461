"""What a request to cancel a task writes."""

import enum

import sqlalchemy as sa

from glance.db import entries, events, task_repository
from glance.db.models import task_queue, tasks, utcnow
from glance.domain import errors
from glance.domain.events import Kind, event_here
from glance.domain.task import Status

# The priority of a task that is to be cancelled: it is claimed before all others.
FIRST = 2**31 - 1

_c = task_queue.c

# The lock keeps the entry from being claimed, and the run from ending the task, until the commit.
_SELECT_STATE = (
    sa.select(_c.lease, _c.outcome, _c.attempts, _c.cancel_requested)
    .where(_c.task_id == sa.bindparam('entry'))
    .with_for_update()
)
_RECORD_REQUEST = (
    sa.update(tasks)
    .where(tasks.c.id == sa.bindparam('task'))
    .values(
        cancelled_at=sa.bindparam('at'),
        cancelled_by=sa.bindparam('user'),
        cancel_reason=sa.bindparam('why'),
        updated_at=sa.bindparam('at'),
    )
)
_REQUEST_CANCEL = (
    sa.update(task_queue)
    .where(_c.task_id == sa.bindparam('entry'))
    .values(cancel_requested=True, priority=FIRST)
)
_REQUEST_WITHOUT_PAUSE = _REQUEST_CANCEL.values(touched=0.0)


class Answer(enum.Enum):
    """What has become of a request."""

    REFUSED = 'refused'  # the task has ended, or has an outcome
    ACCEPTED = 'accepted'  # now or by an earlier request; the task will end
    ENDED = 'ended'  # the request has ended the task


def request(
    connection: sa.Connection,
    task_id: str,
    *,
    reason: str | None,
    by: str | None,
    time_to_live: int,
) -> Answer:
    """TaskQueue.cancel() in a transaction.

    time_to_live  hours for which an ended task can be read
    """
    state = connection.execute(_SELECT_STATE, {'entry': task_id}).one_or_none()
    if state is None:
        return Answer.REFUSED
    if state.cancel_requested:
        return Answer.ACCEPTED
    if state.outcome is not None:
        return Answer.REFUSED
    connection.execute(
        _RECORD_REQUEST, {'task': task_id, 'at': utcnow(), 'user': by, 'why': reason}
    )
    given = {'by': by, 'reason': reason}
    requested = event_here(
        Kind.CANCEL_REQUESTED, **{name: value for name, value in given.items() if value}
    )
    if state.lease:
        events.record(connection, task_id, requested)
        # After an attempt, the next one waits for a while. There is none to wait for any more.
        statement = _REQUEST_WITHOUT_PAUSE if state.attempts else _REQUEST_CANCEL
        connection.execute(statement, {'entry': task_id})
        return Answer.ACCEPTED
    # It was never claimed, so it owns nothing, and no runner is needed to end it.
    message = str(errors.Cancelled())
    events.record(connection, task_id, requested, event_here(Kind.FAILURE, message=message))
    task_repository.end(
        connection, task_id, Status.FAILURE, message=message, progress=0, time_to_live=time_to_live
    )
    entries.delete(connection, task_id)
    return Answer.ENDED
