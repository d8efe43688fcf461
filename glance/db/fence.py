"""The fence: only the holder of the lease of a task can write for it."""

import collections.abc
import contextlib
import logging
import typing

import sqlalchemy as sa

from glance.db import outages
from glance.db.models import now, task_queue
from glance.db.sessions import Database
from glance.domain import errors
from glance.domain.lease import DatabaseGone, Lease, LostLease, QueueBroke

LOG = logging.getLogger(__name__)

T = typing.TypeVar('T')

_TOUCH_ENTRY = (
    sa.update(task_queue)
    .where(
        task_queue.c.task_id == sa.bindparam('entry'), task_queue.c.lease == sa.bindparam('number')
    )
    .values(touched=now())
)


def write(
    database: Database, lease: Lease, function: collections.abc.Callable[[sa.Connection], T]
) -> T:
    """Run function(connection) in a transaction that begins with the fence.

    The fence updates the row of the entry. The update locks the row: a claim
    at the same time waits for this transaction, or this transaction for it.

    Raises LostLease if there is a later claim or the entry is gone, and
    DatabaseGone if the database does not answer. Both drop the run; nothing is
    written then. Raises WriteRefused if a constraint refuses the write, and
    QueueBroke for an error that nobody knows.
    """

    def fenced(connection: sa.Connection) -> T:
        touched = connection.execute(
            _TOUCH_ENTRY, {'entry': lease.task_id, 'number': lease.number}
        )
        if touched.rowcount == 0:
            raise LostLease(str(lease))
        return function(connection)

    with _drops():
        return database.write(fenced, for_run=True)


def read(database: Database, function: collections.abc.Callable[[sa.Connection], T]) -> T:
    """Run function(connection) for a run. Raises DatabaseGone if the database does not answer."""
    with _drops():
        return database.read(function, for_run=True)


@contextlib.contextmanager
def _drops() -> collections.abc.Iterator[None]:
    """Turn errors of the database into Drops, but those for which the task is to blame."""
    try:
        yield
    except errors.WriteRefused:
        raise
    except errors.DatabaseUnavailable as error:
        raise DatabaseGone(str(error)) from error
    except Exception as error:
        if not outages.is_unknown(error):
            raise
        LOG.error('The database refuses a statement of a run: %s', outages.reason(error))
        raise QueueBroke(outages.reason(error)) from error
