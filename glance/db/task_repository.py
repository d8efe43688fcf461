"""Task records in tasks and task_info."""

import datetime
import json

import sqlalchemy as sa

from glance import interfaces
from glance.db import paging
from glance.db.models import aware, images, naive, now, task_info, task_queue, tasks, utcnow
from glance.domain import errors
from glance.domain.task import Status, Task, before

_WHOLE = sa.select(tasks, task_info.c.input, task_info.c.result, task_info.c.message).join(
    task_info, task_info.c.task_id == tasks.c.id
)
_ONE = _WHOLE.where(tasks.c.id == sa.bindparam('id'))
_INSERT = sa.insert(tasks)
_INSERT_INFO = sa.insert(task_info)
_INSERT_ENTRY = sa.insert(task_queue).values(
    posted_at=now(),
    lease=0,
    attempts=0,
    furthest_step=0,
    furthest_bytes=0,
    begun_step=0,
    begun_bytes=0,
    cancel_requested=False,
    **{
        name: sa.bindparam(name)
        for name in ('task_id', 'type', 'flow_version', 'work', 'priority', 'request_id')
    },
)
_IMAGE = sa.select(images.c.id).where(images.c.id == sa.bindparam('id'))


class SqlTaskRepository(interfaces.TaskRepository):
    def __init__(self, database):
        self._database = database

    def add(self, task, entry):
        def insert(connection):
            if task.image_id and connection.execute(_IMAGE, {'id': task.image_id}).first():
                raise errors.ImageExists(task.image_id)
            connection.execute(_INSERT, _row(task))
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

        self._database.write(insert, urgent=True)

    def get(self, task_id, *, owner=None):
        row = self._database.read(
            lambda connection: connection.execute(_ONE, {'id': task_id}).one_or_none()
        )
        if row is None or row.deleted or _expired(row) or owner not in (None, row.owner):
            raise errors.TaskNotFound(task_id)
        return _task(row)

    def page(self, listing, *, owner=None):
        visible = [_readable()]
        if owner is not None:
            visible.append(tasks.c.owner == owner)
        visible = sa.and_(*visible)
        statement = sa.select(tasks).where(visible)
        for key, value in listing.filters.items():
            column = tasks.c[key]
            if isinstance(value, datetime.datetime):
                value = naive(value)
            statement = statement.where(
                column.in_(value) if isinstance(value, list) else column == value
            )

        def rows(connection):
            last = paging.marker(connection, tasks, listing, visible)
            return connection.execute(paging.paged(statement, tasks, listing, last)).all()

        return [_task(row) for row in self._database.read(rows)]

    def of_image(self, image_id, *, owner=None):
        statement = _WHOLE.where(tasks.c.image_id == image_id, _readable()).order_by(
            tasks.c.created_at.desc(), tasks.c.id.desc()
        )
        if owner is not None:
            statement = statement.where(tasks.c.owner == owner)
        rows = self._database.read(lambda connection: connection.execute(statement).all())
        return [_task(row) for row in rows]

    def purge(self, *, limit):
        expired = sa.select(tasks.c.id).where(tasks.c.expires_at < utcnow()).limit(limit)

        def remove(connection):
            ids = list(connection.scalars(expired))
            connection.execute(sa.delete(task_info).where(task_info.c.task_id.in_(ids)))
            return connection.execute(sa.delete(tasks).where(tasks.c.id.in_(ids))).rowcount

        return self._database.write(remove)


def end(connection, task_id, status, *, time_to_live, result=None, message=''):
    """End a task in the transaction of its run; nothing happens if it has ended.

    time_to_live  hours
    """
    at = utcnow()
    ended = connection.execute(
        _END,
        {
            't': task_id,
            'wanted': status,
            'before': before(status),
            'at': at,
            'until': at + datetime.timedelta(hours=time_to_live),
        },
    )
    if ended.rowcount:
        connection.execute(
            _END_INFO,
            {
                't': task_id,
                'result_': None if result is None else json.dumps(result),
                'message_': message,
            },
        )


_END = (
    sa.update(tasks)
    .where(
        tasks.c.id == sa.bindparam('t'), tasks.c.status.in_(sa.bindparam('before', expanding=True))
    )
    .values(
        status=sa.bindparam('wanted'),
        updated_at=sa.bindparam('at'),
        expires_at=sa.bindparam('until'),
    )
)
_END_INFO = (
    sa.update(task_info)
    .where(task_info.c.task_id == sa.bindparam('t'))
    .values(result=sa.bindparam('result_'), message=sa.bindparam('message_'))
)


def _readable():
    return sa.and_(
        tasks.c.deleted.is_(False),
        sa.or_(tasks.c.expires_at.is_(None), tasks.c.expires_at > utcnow()),
    )


def _expired(row):
    return row.expires_at is not None and row.expires_at <= utcnow()


def _row(task):
    created = naive(task.created_at)
    return {
        'id': task.id,
        'type': task.type,
        'status': task.status,
        'owner': task.owner,
        'image_id': task.image_id,
        'request_id': task.request_id,
        'user_id': task.user_id,
        'created_at': created,
        'updated_at': created,
        'expires_at': None,
        'deleted_at': None,
        'deleted': False,
    }


def _task(row):
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
    )
