"""What a worker reads of the queue: the entry of a lease that another process holds."""

import collections.abc
import json

import sqlalchemy as sa

from glance.db import fence
from glance.db.models import task_queue
from glance.db.sessions import Database
from glance.domain.entry import UNKNOWN_HOLDER, Claim, Held
from glance.domain.events import PendingEvents
from glance.domain.lease import Lease, LostLease, Progress
from glance.domain.sent_steps import SentSteps

_c = task_queue.c
_SELECT_ENTRY = sa.select(task_queue).where(
    _c.task_id == sa.bindparam('task'), _c.lease == sa.bindparam('number'), _c.owner.is_not(None)
)
_SELECT_LEASES = sa.select(_c.task_id, _c.lease, _c.cancel_requested).where(
    _c.task_id.in_(sa.bindparam('tasks', expanding=True)), _c.owner.is_not(None)
)


class WorkerClaims:
    """The claims of other processes, for those who do steps of them.

    name  of this process, for the timeline of the tasks
    """

    def __init__(self, database: Database, name: str | None = None) -> None:
        self._database = database
        self._name = name

    def read(self, lease: Lease) -> Claim:
        """The claim of a lease as its holder has it. Raises LostLease if there is none.

        Its predecessor is one that nobody knows to be dead: not only the last holder may
        have written to the files of the task, but also a worker of whom no row tells.
        """
        row = fence.read(
            self._database,
            lambda connection: connection.execute(
                _SELECT_ENTRY, {'task': lease.task_id, 'number': lease.number}
            ).one_or_none(),
        )
        if row is None:
            raise LostLease(str(lease))
        return Claim(
            lease=Lease(lease.task_id, lease.number, PendingEvents(self._name)),
            type=row.type,
            flow_version=row.flow_version,
            work=json.loads(row.work),
            attempts=row.attempts,
            best_progress=Progress(row.furthest_step, row.furthest_bytes),
            outcome=row.outcome,
            message=row.message or '',
            cancel_requested=row.cancel_requested,
            request_id=row.request_id,
            predecessor=UNKNOWN_HOLDER if lease.number > 1 else None,
            deaths=row.deaths,
            last_death=row.last_death,
            sent=SentSteps.from_text(row.sent, lease.number),
        )

    def tell(self, lease: Lease) -> None:
        """Write what steps of a run have told, if no other write follows. Raises Drops."""
        if lease.events.due:
            fence.write(self._database, lease, lambda _connection: None)

    def held(self, leases: collections.abc.Iterable[Lease]) -> list[Held]:
        """The present leases of the same tasks, and which of them are to be cancelled."""
        tasks = [lease.task_id for lease in leases]
        rows = fence.read(
            self._database,
            lambda connection: connection.execute(_SELECT_LEASES, {'tasks': tasks}).all(),
        )
        return [Held(Lease(row.task_id, row.lease), row.cancel_requested) for row in rows]
