"""Task records, in the tables tasks and task_info."""

import collections.abc
import dataclasses
import datetime
import json
import typing

import sqlalchemy as sa

from glance.db import events as db_events
from glance.db import idempotency, image_filters, paging
from glance.db import writes as db_writes
from glance.db.models import (
    aware,
    idempotency_keys,
    naive,
    now,
    task_info,
    task_queue,
    tasks,
    utcnow,
)
from glance.db.sessions import Database
from glance.domain import errors
from glance.domain import steps as task_steps
from glance.domain.entry import Entry
from glance.domain.events import Event, Kind, event_here
from glance.domain.idempotency import IdempotencyKey
from glance.domain.listing import Listing
from glance.domain.task import NEXT, Status, Task, before, told_at_accept
from glance.interfaces.repositories import TaskRepository
from glance.interfaces.writes import Write

# The fields of a task that are columns of the same name in the table tasks.
_FIELDS = [
    field.name
    for field in dataclasses.fields(Task)
    if field.name not in ('input', 'result', 'message', 'progress', 'steps')
]

# While a task has an entry, its progress is there.
_PROGRESS = sa.func.coalesce(tasks.c.progress, task_queue.c.progress, 0).label('percent')
_SELECT_LIST_ITEMS = sa.select(tasks, _PROGRESS).outerjoin(
    task_queue, task_queue.c.task_id == tasks.c.id
)
_SELECT_TASKS = _SELECT_LIST_ITEMS.add_columns(
    task_info.c.input, task_info.c.result, task_info.c.message, task_queue.c.steps
).join(task_info, task_info.c.task_id == tasks.c.id)
_SELECT_TASK = _SELECT_TASKS.where(tasks.c.id == sa.bindparam('id'))
_SELECT_ENDED = _SELECT_TASKS.where(
    tasks.c.id.in_(sa.bindparam('ids', expanding=True)),
    tasks.c.status.in_([status for status, later in NEXT.items() if not later]),
)
_SELECT_OF_KEY = (
    _SELECT_TASKS.add_columns(idempotency_keys.c.fingerprint)
    .join(idempotency_keys, idempotency.LIVE)
    .where(
        idempotency_keys.c.owner == sa.bindparam('key_owner'),
        idempotency_keys.c.text == sa.bindparam('key_text'),
    )
)
_INSERT_TASK = sa.insert(tasks)
_INSERT_INFO = sa.insert(task_info)
_INSERT_ENTRY = sa.insert(task_queue).values(
    posted_at=now(),
    lease=0,
    attempts=0,
    furthest_step=0,
    furthest_bytes=0,
    begun_step=0,
    begun_bytes=0,
    deaths=0,
    cancel_requested=False,
    progress=0,
    last_event=1,
    **{
        name: sa.bindparam(name)
        for name in ('task_id', 'type', 'flow_version', 'work', 'priority', 'request_id')
    },
)
_END_TASK = (
    sa.update(tasks)
    .where(
        tasks.c.id == sa.bindparam('task'),
        tasks.c.status.in_(sa.bindparam('before', expanding=True)),
    )
    .values(
        status=sa.bindparam('becomes'),
        updated_at=sa.bindparam('at'),
        expires_at=sa.bindparam('until'),
        progress=sa.bindparam('percent'),
    )
)
_END_INFO = (
    sa.update(task_info)
    .where(task_info.c.task_id == sa.bindparam('task'))
    .values(result=sa.bindparam('result_'), message=sa.bindparam('message_'))
)


class SqlTaskRepository(TaskRepository):
    """The tasks in the service's own database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        task: Task,
        entry: Entry,
        writes: collections.abc.Iterable[Write] = (),
        *,
        key: IdempotencyKey | None = None,
    ) -> bool:
        accepted = db_writes.accepted(writes, None)
        event = db_events.row(task.id, 1, event_here(Kind.ACCEPTED, **told_at_accept(task)))

        def insert(connection: sa.Connection) -> bool:
            if key is not None and not idempotency.take(connection, key, task.id, utcnow()):
                return False
            db_writes.apply(connection, accepted)
            connection.execute(_INSERT_TASK, _row(task))
            connection.execute(
                _INSERT_INFO,
                {
                    'task_id': task.id,
                    'input': json.dumps(task.input),
                    'result': None,
                    'message': task.message,
                },
            )
            connection.execute(
                _INSERT_ENTRY,
                {
                    'task_id': entry.task_id,
                    'type': entry.type,
                    'flow_version': entry.flow_version,
                    'work': json.dumps(entry.work),
                    'priority': entry.priority,
                    'request_id': task.request_id,
                },
            )
            db_events.insert(connection, [event])
            return True

        return self._database.write(insert, urgent=True)

    def of_key(self, key: IdempotencyKey) -> tuple[Task, str] | None:
        named = idempotency.parameters(key, utcnow())
        row = self._database.read(
            lambda connection: connection.execute(_SELECT_OF_KEY, named).one_or_none()
        )
        return None if row is None else (_task(row), row.fingerprint)

    def get(self, task_id: str, *, owner: str | None = None) -> Task:
        def select(connection: sa.Connection) -> Task:
            return _whole(connection, [_visible(connection, task_id, owner)])[0]

        return self._database.read(select)

    def events(
        self, task_id: str, *, limit: int, after: int = 0, owner: str | None = None
    ) -> list[Event]:
        def select(connection: sa.Connection) -> list[Event]:
            _visible(connection, task_id, owner)
            if after and not db_events.exists(connection, task_id, after):
                raise errors.Invalid(f'"marker" {after} is not an event of this task.')
            return db_events.page(connection, task_id, after, limit)

        return self._database.read(select)

    def ended(self, ids: collections.abc.Collection[str]) -> list[Task]:
        named = {'ids': list(ids)}
        return self._database.read(
            lambda connection: _whole(connection, connection.execute(_SELECT_ENDED, named).all())
        )

    def page(self, listing: Listing, *, owner: str | None = None) -> list[Task]:
        visible = _not_expired()
        if owner is not None:
            visible = sa.and_(visible, tasks.c.owner == owner)
        statement = _SELECT_LIST_ITEMS.where(visible)
        for key, value in listing.filters.items():
            column = tasks.c[key]
            if isinstance(value, datetime.datetime):
                condition = image_filters.at_time(column, 'eq', value)
            else:
                condition = column.in_(value) if isinstance(value, list) else column == value
            statement = statement.where(condition)

        def select_page(connection: sa.Connection) -> list[Task]:
            last = paging.marker(connection, tasks, listing, visible)
            rows = connection.execute(paging.paged(statement, tasks, listing, last))
            return [_task(row) for row in rows]

        return self._database.read(select_page)

    def of_image(self, image_id: str, *, owner: str | None = None) -> list[Task]:
        statement = _SELECT_TASKS.where(tasks.c.image_id == image_id, _not_expired()).order_by(
            tasks.c.created_at.desc(), tasks.c.id.desc()
        )
        if owner is not None:
            statement = statement.where(tasks.c.owner == owner)
        rows = self._database.read(lambda connection: connection.execute(statement).all())
        return [_task(row) for row in rows]

    def purge(self, *, limit: int) -> int:
        expired = sa.select(tasks.c.id).where(tasks.c.expires_at < utcnow()).limit(limit)

        def remove(connection: sa.Connection) -> int:
            ids = list(connection.scalars(expired))
            idempotency.forget_tasks(connection, ids)
            connection.execute(sa.delete(task_info).where(task_info.c.task_id.in_(ids)))
            connection.execute(db_events.DELETE_EVENTS, {'tasks': ids})
            return connection.execute(sa.delete(tasks).where(tasks.c.id.in_(ids))).rowcount

        return self._database.write(remove)

    def forget_keys(self) -> int:
        if not self._database.read(idempotency.any_old):
            return 0
        return self._database.write(idempotency.forget_old)


def end(
    connection: sa.Connection,
    task_id: str,
    status: Status,
    *,
    time_to_live: int,
    progress: int,
    result: str | None = None,
    message: str = '',
) -> None:
    """End a task in the transaction of its run. Does nothing if the task has ended.

    time_to_live  hours for which the ended task can be read
    progress      how many percent were done
    result        the result as JSON text
    """
    at = utcnow()
    ended = connection.execute(
        _END_TASK,
        {
            'task': task_id,
            'becomes': status,
            'before': before(status),
            'at': at,
            'until': at + datetime.timedelta(hours=time_to_live),
            'percent': progress,
        },
    )
    if ended.rowcount:
        connection.execute(_END_INFO, {'task': task_id, 'result_': result, 'message_': message})


def _visible(connection: sa.Connection, task_id: str, owner: str | None) -> sa.Row[typing.Any]:
    """The row of a task that a project may see. Raises TaskNotFound."""
    row = connection.execute(_SELECT_TASK, {'id': task_id}).one_or_none()
    if row is None or row.deleted or _is_expired(row) or owner not in (None, row.owner):
        raise errors.TaskNotFound(task_id)
    return row


def _not_expired() -> sa.ColumnElement[bool]:
    return sa.and_(
        tasks.c.deleted.is_(False),
        sa.or_(tasks.c.expires_at.is_(None), tasks.c.expires_at > utcnow()),
    )


def _is_expired(row: sa.Row[typing.Any]) -> bool:
    return bool(row.expires_at is not None and row.expires_at <= utcnow())


def _row(task: Task) -> dict[str, typing.Any]:
    """The row of a new task in the table tasks."""
    created = naive(task.created_at)
    return {name: getattr(task, name) for name in _FIELDS} | {
        'created_at': created,
        'updated_at': created,
        'expires_at': None,
        'deleted_at': None,
        'deleted': False,
    }


def _whole(
    connection: sa.Connection, rows: collections.abc.Sequence[sa.Row[typing.Any]]
) -> list[Task]:
    """The tasks of rows, with their steps."""
    events = db_events.of_tasks(connection, [row.id for row in rows])
    return [
        dataclasses.replace(
            _task(row), steps=task_steps.so_far(events[row.id], task_steps.at_work(row.steps))
        )
        for row in rows
    ]


def _task(row: sa.Row[typing.Any]) -> Task:
    """The task of a row. Rows of a page have no input, result and message."""
    whole = hasattr(row, 'input')
    return Task(
        id=row.id,
        type=row.type,
        owner=row.owner,
        status=Status(row.status),
        input=json.loads(row.input) if whole else {},
        result=json.loads(row.result) if whole and row.result else None,
        message=(row.message or '') if whole else '',
        created_at=aware(row.created_at),
        updated_at=aware(row.updated_at),
        expires_at=aware(row.expires_at),
        image_id=row.image_id,
        request_id=row.request_id,
        user_id=row.user_id,
        retry_of=row.retry_of,
        cancelled_at=aware(row.cancelled_at),
        cancelled_by=row.cancelled_by,
        cancel_reason=row.cancel_reason,
        progress=100 if row.status == Status.SUCCESS else row.percent,
    )
