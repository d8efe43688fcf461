"""What keeps everybody but the holder of the lease from writing for a task."""

import sqlalchemy as sa

from glance.db.models import now, task_queue
from glance.domain import errors
from glance.domain.lease import DatabaseGone, LostLease

_TOUCH = (
    sa.update(task_queue)
    .where(task_queue.c.task_id == sa.bindparam('t'), task_queue.c.lease == sa.bindparam('n'))
    .values(touched=now())
)


def write(database, lease, function):
    """Run function(connection) in a transaction that begins with the fence.

    The update locks the entry's row, so that a claim made meanwhile waits for
    this transaction, and this one for it. Raises LostLease if there is a later
    claim or the entry is gone, DatabaseGone if the database does not answer:
    both drop the run, and nothing was written.
    """

    def fenced(connection):
        touched = connection.execute(_TOUCH, {'t': lease.task_id, 'n': lease.number})
        if touched.rowcount == 0:
            raise LostLease(str(lease))
        return function(connection)

    try:
        return database.write(fenced)
    except errors.DatabaseUnavailable as error:
        raise DatabaseGone(str(error)) from error


def read(database, function):
    """Run function(connection), as a run reads: an outage drops it."""
    try:
        return database.read(function)
    except errors.DatabaseUnavailable as error:
        raise DatabaseGone(str(error)) from error
