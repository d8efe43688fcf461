"""What a renewal costs grows with the runs that are renewed, and not faster."""

import uuid

import sqlalchemy as sa

from glance.db import renewal
from glance.db.models import task_queue
from glance.domain.lease import Lease

INSTRUCTIONS = 100  # of SQLite's virtual machine, between two calls of the handler


def test_a_renewal_of_ten_times_as_many_runs_takes_about_ten_times_as_long(database):
    few, many = (cost(database, runs) for runs in (50, 500))
    assert few < many < 15 * few


def cost(database, runs):
    """Hundreds of instructions that SQLite executes to renew so many leases."""
    leases = [Lease(str(uuid.uuid4()), 1) for _ in range(runs)]
    holder, calls = f'holder of {runs}', []

    def prepare(connection):
        rows = [
            {
                'task_id': lease.task_id,
                'type': 'import',
                'flow_version': 1,
                'work': '{}',
                'posted_at': 1.0,
                'lease': lease.number,
                'owner': holder,
                'expires_at': 1.0,
            }
            for lease in leases
        ]
        connection.execute(sa.insert(task_queue), rows)

    def watch(connection):
        driver = connection.connection.driver_connection
        driver.set_progress_handler(lambda: calls.append(1), INSTRUCTIONS)

    database.write(prepare)
    database.write(watch)
    renewal.renew(database, holder, dict.fromkeys(leases), seconds=30)
    count = len(calls)
    database.write(
        lambda connection: connection.connection.driver_connection.set_progress_handler(None, 0)
    )
    renewed = database.read(
        lambda connection: connection.scalar(
            sa.select(sa.func.count()).where(
                task_queue.c.owner == holder, task_queue.c.expires_at > 1.0
            )
        )
    )
    assert renewed == runs
    return count
