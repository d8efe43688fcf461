"""The keys of requests that clients may send again, in the transaction of a POST."""

import collections.abc
import typing

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from glance.db.models import idempotency_keys, now, tasks
from glance.domain.idempotency import LIFETIME, IdempotencyKey

_c = idempotency_keys.c
_OF_KEY = sa.and_(_c.owner == sa.bindparam('key_owner'), _c.text == sa.bindparam('key_text'))
_TOO_OLD = _c.recorded_at <= now() - LIFETIME

# Selecting from a key, its task is there only if the key still stands for it.
LIVE = sa.and_(
    idempotency_keys.c.task_id == tasks.c.id,
    sa.not_(_TOO_OLD),
    tasks.c.deleted.is_(False),
    sa.or_(tasks.c.expires_at.is_(None), tasks.c.expires_at > sa.bindparam('utcnow')),
)

_SELECT_KEY = (
    sa.select(_c.task_id, tasks.c.id.label('live'))
    .select_from(idempotency_keys.outerjoin(tasks, LIVE))
    .where(_OF_KEY)
)
_DELETE_KEY = sa.delete(idempotency_keys).where(_OF_KEY, _c.task_id == sa.bindparam('seen'))
_SELECT_OLD = sa.select(_c.task_id).where(_TOO_OLD).limit(1)
_DELETE_OLD = sa.delete(idempotency_keys).where(_TOO_OLD)

_VALUES = {
    'owner': sa.bindparam('key_owner'),
    'text': sa.bindparam('key_text'),
    'fingerprint': sa.bindparam('hash'),
    'task_id': sa.bindparam('task'),
    'recorded_at': now(),
}
# Inserts nothing where the key is; waits for a transaction that has just inserted it.
_INSERT_KEY: dict[str, sa.Insert] = {
    'sqlite': sa.insert(idempotency_keys).prefix_with('OR IGNORE').values(_VALUES),
    'mysql': sa.insert(idempotency_keys).prefix_with('IGNORE').values(_VALUES),
    'postgresql': postgresql.insert(idempotency_keys).values(_VALUES).on_conflict_do_nothing(),
}


def parameters(key: IdempotencyKey, utcnow: typing.Any) -> dict[str, typing.Any]:
    """The parameters of statements about a key."""
    return {'key_owner': key.owner, 'key_text': key.text, 'utcnow': utcnow}


def take(connection: sa.Connection, key: IdempotencyKey, task_id: str, utcnow: typing.Any) -> bool:
    """Let a key stand for a new task. False if it stands for another one.

    Call it first in the transaction: of several with the same key, the others then wait
    here for the one that was first, and have nothing to undo.
    """
    named = parameters(key, utcnow)
    insert = _INSERT_KEY[connection.dialect.name]
    row = named | {'hash': key.fingerprint, 'task': task_id}
    if connection.execute(insert, row).rowcount:
        return True
    # Not deleted at once if it is old: that would lock its row, which many may be reading.
    known = connection.execute(_SELECT_KEY, named).one_or_none()
    if known is None or known.live is not None:
        return False
    connection.execute(_DELETE_KEY, named | {'seen': known.task_id})
    return bool(connection.execute(insert, row).rowcount)


def forget_tasks(connection: sa.Connection, ids: collections.abc.Collection[str]) -> None:
    """Delete the keys that stand for these tasks."""
    connection.execute(sa.delete(idempotency_keys).where(_c.task_id.in_(list(ids))))


def any_old(connection: sa.Connection) -> bool:
    """Whether forget_old() would delete any. Only reads."""
    return connection.execute(_SELECT_OLD).first() is not None


def forget_old(connection: sa.Connection) -> int:
    """Delete the keys that stand for nothing any more because of their age. Returns how many."""
    return connection.execute(_DELETE_OLD).rowcount
