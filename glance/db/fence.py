"""The fence: only the holder of the lease of a task can write for it."""

import collections.abc
import logging
import typing

import sqlalchemy as sa

from glance.db import events as db_events
from glance.db import outages
from glance.db.models import now, task_queue
from glance.db.sessions import Database
from glance.domain import errors
from glance.domain.events import Event
from glance.domain.lease import DatabaseGone, Lease, LostLease, QueueBroke

LOG = logging.getLogger(__name__)

T = typing.TypeVar('T')

_c = task_queue.c

_TOUCH_ENTRY = (
    sa.update(task_queue)
    .where(_c.task_id == sa.bindparam('entry'), _c.lease == sa.bindparam('number'))
    .values(touched=now())
)
_TOUCH_AND_COUNT = _TOUCH_ENTRY.values(last_event=_c.last_event + sa.bindparam('count'))
_TOUCH_AND_SEND = _TOUCH_AND_COUNT.values(sent=sa.bindparam('sent_text'))

_IS_FURTHER = _c.furthest_step < sa.bindparam('finished')
# The order matters: on MySQL, an assignment sees the values of those before it.
_TOUCH_AND_ADVANCE = (
    sa.update(task_queue)
    .where(_c.task_id == sa.bindparam('entry'), _c.lease == sa.bindparam('number'))
    .ordered_values(
        (_c.touched, now()),
        (_c.last_event, _c.last_event + sa.bindparam('count')),
        (_c.furthest_bytes, sa.case((_IS_FURTHER, 0), else_=_c.furthest_bytes)),
        (
            _c.furthest_step,
            sa.case((_IS_FURTHER, sa.bindparam('finished')), else_=_c.furthest_step),
        ),
    )
)


def write(
    database: Database,
    lease: Lease,
    function: collections.abc.Callable[[sa.Connection], T],
    *events: Event,
    finished: int | None = None,
    sent: str | None = None,
) -> T:
    """Run function(connection) in a transaction that begins with the fence.

    The fence updates the row of the entry. The update locks the row: a claim
    at the same time waits for this transaction, or this transaction for it.

    The transaction also writes the events of the run that wait for one.

    events    what this write tells, if it is not rolled back
    finished  how many steps the run has finished, if the entry does not know it yet
    sent      which workers are to do steps of the run (glance.domain.sent_steps), if new

    Raises LostLease if there is a later claim or the entry is gone, and
    DatabaseGone if the database does not answer. Both drop the run; nothing is
    written then. Raises WriteRefused if a constraint refuses the write, and
    QueueBroke for an error that nobody knows.
    """
    values: dict[str, typing.Any] = {'entry': lease.task_id, 'number': lease.number}
    touch = _TOUCH_ENTRY
    if finished is not None:
        touch, values['finished'] = _TOUCH_AND_ADVANCE, finished
    elif sent is not None:
        touch, values['sent_text'] = _TOUCH_AND_SEND, sent

    def fenced(connection: sa.Connection) -> T:
        if touch is _TOUCH_ENTRY:
            if connection.execute(touch, values).rowcount == 0:
                raise LostLease(str(lease))
        else:
            last = db_events.counted(connection, touch, values)
            if last is None:
                raise LostLease(str(lease))
            db_events.insert(connection, told.rows(connection, last))
        return function(connection)

    with _Drops(), db_events.told(lease, *events) as told:
        if told and touch is _TOUCH_ENTRY:
            touch = _TOUCH_AND_COUNT
        if touch is not _TOUCH_ENTRY:
            values['count'] = len(told)
        return database.write(fenced, for_run=True)


def read(database: Database, function: collections.abc.Callable[[sa.Connection], T]) -> T:
    """Run function(connection) for a run. Raises DatabaseGone if the database does not answer."""
    with _Drops():
        return database.read(function, for_run=True)


class _Drops:
    """Turns errors of the database into Drops, but those for which the task is to blame."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, errors.WriteRefused):
            return
        if isinstance(error, errors.DatabaseUnavailable):
            raise DatabaseGone(str(error)) from error
        if outages.is_unknown(error):
            LOG.error('The database refuses a statement of a run: %s', outages.reason(error))
            raise QueueBroke(outages.reason(error)) from error
