"""The timeline of tasks: writing events with the writes that they tell of, and reading them.

The number of an event is given by an UPDATE of the entry of its task, which locks the row:
so the order of the numbers is the order of the commits. To tell of a write that is none of
a run, call record() in its transaction.
"""

import collections.abc
import contextlib
import datetime
import functools
import json
import typing

import sqlalchemy as sa

from glance.db import json_rows
from glance.db.models import aware, naive, task_events, task_queue
from glance.domain.events import Event
from glance.domain.lease import Lease

_c = task_events.c

_COLUMNS: dict[str, json_rows.Kind] = {
    'task_id': 'id',
    'seq': 'integer',
    'at': 'time',
    'kind': 'name',
    'step': 'name',
    'attempt': 'integer',
    'host': 'name',
    'process': 'name',
    'detail': 'text',
}
_SELECT_OF_TASKS = (
    sa.select(task_events)
    .where(_c.task_id.in_(sa.bindparam('tasks', expanding=True)))
    .order_by(_c.task_id, _c.seq)
)
_SELECT_PAGE = (
    sa.select(task_events)
    .where(_c.task_id == sa.bindparam('task'), _c.seq > sa.bindparam('after'))
    .order_by(_c.seq)
    .limit(sa.bindparam('most', type_=sa.Integer))
)
_SELECT_IS_EVENT = sa.select(_c.seq).where(
    _c.task_id == sa.bindparam('task'), _c.seq == sa.bindparam('number')
)
_SELECT_TOLD = sa.select(_c.kind, _c.step, _c.at).where(
    _c.task_id == sa.bindparam('task'), _c.attempt == sa.bindparam('number')
)
_SELECT_LAST_EVENT = sa.select(task_queue.c.last_event).where(
    task_queue.c.task_id == sa.bindparam('entry')
)
_COUNT_EVENTS = (
    sa.update(task_queue)
    .where(task_queue.c.task_id == sa.bindparam('entry'))
    .values(last_event=task_queue.c.last_event + sa.bindparam('count'))
)
DELETE_EVENTS = sa.delete(task_events).where(_c.task_id.in_(sa.bindparam('tasks', expanding=True)))


class Told:
    """The events that one write of a run writes. Nothing else happens to them meanwhile.

    events    in order; the write must count them in its UPDATE of the entry
    """

    def __init__(self, lease: Lease, events: list[Event], doubtful: bool) -> None:
        self._lease = lease
        self._doubtful = doubtful
        self.events = events

    def __len__(self) -> int:
        return len(self.events)

    def rows(self, connection: sa.Connection, last: int) -> list[dict[str, typing.Any]]:
        """Their rows, to be inserted in the same transaction.

        last  the number of the last one: last_event of the entry after it was counted up
        """
        lease, events = self._lease, self.events
        place = {'host': lease.events.host, 'process': lease.events.process}
        first = last - len(events) + 1
        if self._doubtful:
            events = self._not_yet(connection)
        return [
            row(lease.task_id, first + number, event) | {'attempt': lease.number} | place
            for number, event in enumerate(events)
        ]

    def _not_yet(self, connection: sa.Connection) -> list[Event]:
        """The events that no earlier write has written; the others are not counted again."""
        written = self._written(connection)
        new = [event for event in self.events if (event.kind, event.step, event.at) not in written]
        if len(new) < len(self.events):
            values = {'entry': self._lease.task_id, 'count': len(new) - len(self.events)}
            connection.execute(_COUNT_EVENTS, values)
        return new

    def _written(self, connection: sa.Connection) -> set[tuple[str, str | None, typing.Any]]:
        """What is in the database of this claim, though the answer of its write was lost."""
        told = connection.execute(
            _SELECT_TOLD, {'task': self._lease.task_id, 'number': self._lease.number}
        )
        return {(one.kind, one.step, aware(one.at)) for one in told}


@contextlib.contextmanager
def told(lease: Lease, *others: Event, everything: bool = False) -> collections.abc.Iterator[Told]:
    """The events that a write of a run must write: those that wait, and others of its own.

    Those that waited wait again if the write fails.
    """
    pending = lease.events
    taken = pending.take(*others, everything=everything)
    try:
        yield Told(lease, taken, pending.doubtful)
    except BaseException:
        pending.put_back(taken[: len(taken) - len(others)])
        raise
    if taken:
        pending.doubtful = False


def counted(
    connection: sa.Connection, update: sa.Update, values: dict[str, typing.Any]
) -> int | None:
    """Execute an UPDATE of one entry that counts events; returns its last_event, or None.

    update  a constant of its module; it is kept
    values  of its parameters; 'entry' is the id of the task
    """
    if connection.dialect.update_returning:
        number: int | None = connection.scalar(_returning(update), values)
        return number
    if connection.execute(update, values).rowcount == 0:
        return None
    return connection.scalar(_SELECT_LAST_EVENT, {'entry': values['entry']})


@functools.cache
def _returning(update: sa.Update) -> typing.Any:
    return update.returning(task_queue.c.last_event)


def insert(connection: sa.Connection, rows: list[dict[str, typing.Any]]) -> None:
    """Insert rows of events, in one statement."""
    if rows:
        connection.execute(_insert(connection.dialect.name), {'rows': json.dumps(rows)})


@functools.cache
def _insert(dialect: str) -> sa.TextClause:
    names = ', '.join(_COLUMNS)
    return sa.text(f'INSERT INTO task_events ({names}) {json_rows.select(dialect, _COLUMNS)}')


def record(connection: sa.Connection, task_id: str, *events: Event) -> None:
    """Write events of a task in a transaction of any kind. Nothing if it has no entry.

    The entry is locked then, until the transaction ends.
    """
    last = counted(connection, _COUNT_EVENTS, {'entry': task_id, 'count': len(events)})
    if last is not None:
        first = last - len(events) + 1
        insert(connection, [row(task_id, first + n, event) for n, event in enumerate(events)])


def row(task_id: str, seq: int, event: Event) -> dict[str, typing.Any]:
    """The row of an event."""
    return {
        'task_id': task_id,
        'seq': seq,
        'at': naive(event.at).isoformat(' ', 'microseconds'),
        'kind': event.kind,
        'step': event.step,
        'attempt': event.attempt,
        'host': event.host,
        'process': event.process,
        'detail': json.dumps(event.detail) if event.detail else None,
    }


def of_tasks(
    connection: sa.Connection, task_ids: collections.abc.Collection[str]
) -> dict[str, list[Event]]:
    """All events of these tasks."""
    found: dict[str, list[Event]] = {task_id: [] for task_id in task_ids}
    if found:
        for one in connection.execute(_SELECT_OF_TASKS, {'tasks': list(found)}):
            found[one.task_id].append(_event(one))
    return found


def page(connection: sa.Connection, task_id: str, after: int, limit: int) -> list[Event]:
    """The events of a task behind one of them."""
    rows = connection.execute(_SELECT_PAGE, {'task': task_id, 'after': after, 'most': limit})
    return [_event(one) for one in rows]


def exists(connection: sa.Connection, task_id: str, number: int) -> bool:
    """Whether a task has an event of this number."""
    values = {'task': task_id, 'number': number}
    return connection.execute(_SELECT_IS_EVENT, values).first() is not None


def _event(one: sa.Row[typing.Any]) -> Event:
    at: datetime.datetime = aware(one.at)
    return Event(
        kind=one.kind,
        step=one.step,
        detail=json.loads(one.detail or '{}'),
        at=at,
        attempt=one.attempt,
        host=one.host,
        process=one.process,
        seq=one.seq,
    )
