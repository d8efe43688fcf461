"""The queue of accepted tasks: claims, leases, outcomes, and the commit of a task."""

import collections.abc
import dataclasses
import functools
import json
import typing

import sqlalchemy as sa

from glance.db import cancels, claims, entries, fence, task_repository
from glance.db import writes as db_writes
from glance.db.models import leftovers as leftovers_table
from glance.db.models import now, task_queue
from glance.db.sessions import Database
from glance.domain import errors
from glance.domain.entry import Claim, Held, Outcome
from glance.domain.lease import Lease, LostLease, Progress
from glance.domain.leftover import Leftover
from glance.domain.suspects import SuspectGroup
from glance.domain.task import Status
from glance.interfaces.queue import TaskQueue
from glance.interfaces.writes import Write

_c = task_queue.c

_RENEW_LEASE = (
    sa.update(task_queue)
    .where(
        _c.task_id == sa.bindparam('entry'),
        _c.lease == sa.bindparam('number'),
        _c.owner == sa.bindparam('holder'),
    )
    .values(
        expires_at=now() + sa.bindparam('seconds'),
        furthest_step=sa.bindparam('step'),
        furthest_bytes=sa.bindparam('bytes'),
    )
)

# The entries among these that no transaction of a run has locked.
_LOCK_UNLOCKED = (
    sa.select(_c.task_id)
    .where(
        _c.task_id.in_(sa.bindparam('entries', expanding=True)), _c.owner == sa.bindparam('holder')
    )
    .with_for_update(skip_locked=True)
)
# Leases are renewed so many at a time: a transaction must not hold many entries for long.
_RENEWED_AT_ONCE = 50

_SELECT_HELD = sa.select(_c.task_id, _c.lease, _c.cancel_requested).where(
    _c.owner == sa.bindparam('holder')
)

_SELECT_STATE = sa.select(_c.outcome, _c.message, _c.cancel_requested).where(
    _c.task_id == sa.bindparam('entry')
)

_SELECT_COUNTS = sa.select(_c.lease.label('claims'), _c.attempts, _c.deaths, _c.last_death).where(
    _c.task_id == sa.bindparam('entry')
)

_SELECT_LEASE = sa.select(_c.lease).where(_c.task_id == sa.bindparam('entry'))

_SELECT_HOLDER = sa.select(_c.owner).where(_c.task_id == sa.bindparam('entry'))

_SELECT_HOLDERS = sa.select(_c.owner).where(_c.owner.is_not(None)).distinct()

_SELECT_LEFTOVERS = sa.select(
    leftovers_table.c.kind, leftovers_table.c.address, leftovers_table.c.store
).where(leftovers_table.c.task_id == sa.bindparam('entry'))

_INSERT_LEFTOVER = sa.insert(leftovers_table).values(recorded_at=now())


_Renewal = dict[str, typing.Any]  # the parameters of _RENEW_LEASE


def _renew(connection: sa.Connection, holder: str, rows: list[_Renewal]) -> set[str]:
    """Renew leases whose entries are not locked. Returns the task ids of these entries."""
    parameters = {'entries': [row['entry'] for row in rows], 'holder': holder}
    unlocked = set(connection.scalars(_LOCK_UNLOCKED, parameters))
    renewed = [row for row in rows if row['entry'] in unlocked]
    if renewed:
        connection.execute(_RENEW_LEASE, renewed)
    return unlocked


class SqlTaskQueue(TaskQueue):
    """The queue as a table of the service's own database.

    time_to_live  hours for which an ended task can be read
    """

    def __init__(self, database: Database, *, time_to_live: int) -> None:
        self._database = database
        self._time_to_live = time_to_live

    def claim(
        self,
        holder: str,
        limit: int,
        *,
        seconds: float,
        versions: collections.abc.Mapping[str, int],
        running: collections.abc.Collection[str] = (),
        suspects: SuspectGroup | None = None,
    ) -> list[Claim]:
        def take(connection: sa.Connection) -> list[Claim]:
            return claims.claim(
                connection,
                holder,
                limit,
                seconds=seconds,
                versions=versions,
                running=running,
                suspects=suspects,
                suspects_here=self.suspects_here,
            )

        return self._database.write(take)

    def suspects(self) -> list[tuple[int, int]]:
        return self._database.read(claims.suspects)

    def blame(self, lease: Lease, death: str) -> None:
        statement = (
            sa.update(task_queue)
            .where(_c.task_id == lease.task_id, _c.lease == lease.number)
            .values(attempts=_c.attempts + 1, last_death=death)
        )
        self._database.write(lambda connection: connection.execute(statement))

    def unclaimable(
        self, versions: collections.abc.Mapping[str, int]
    ) -> list[tuple[str, int, int]]:
        return self._database.read(lambda connection: claims.unclaimable(connection, versions))

    def renew(
        self,
        holder: str,
        best_progress: collections.abc.Mapping[Lease, Progress],
        *,
        seconds: float,
    ) -> None:
        rows = [
            {
                'entry': lease.task_id,
                'number': lease.number,
                'holder': holder,
                'seconds': seconds,
                'step': progress.step,
                'bytes': progress.bytes,
            }
            for lease, progress in best_progress.items()
        ]
        if self._database.dialect == 'sqlite':  # locks no rows, and each commit costs a sync
            if rows:
                self._database.write(lambda connection: connection.execute(_RENEW_LEASE, rows))
            return
        skipped = self._renew_unlocked(holder, rows)
        self._renew_unlocked(holder, skipped)  # most transactions have ended meanwhile

    def _renew_unlocked(self, holder: str, rows: list[_Renewal]) -> list[_Renewal]:
        """Renew the leases whose entries are not locked. Returns the others.

        A run that waits for a table locks its entry; it must not cost the others their leases.
        """
        skipped = []
        for first in range(0, len(rows), _RENEWED_AT_ONCE):
            piece = rows[first : first + _RENEWED_AT_ONCE]
            unlocked = self._database.write(functools.partial(_renew, holder=holder, rows=piece))
            skipped += [row for row in piece if row['entry'] not in unlocked]
        return skipped

    def counts(self, task_id: str) -> dict[str, typing.Any]:
        """How often the runs of a queued task ended without progress; empty if it has ended.

        Its keys are claims, attempts, deaths and last_death.
        """
        row = self._database.read(
            lambda connection: connection.execute(_SELECT_COUNTS, {'entry': task_id}).one_or_none()
        )
        return dict(row._mapping) if row is not None else {}

    def held(self, holder: str) -> list[Held]:
        rows = self._database.read(
            lambda connection: connection.execute(_SELECT_HELD, {'holder': holder}).all()
        )
        return [Held(Lease(row.task_id, row.lease), row.cancel_requested) for row in rows]

    def release(self, lease: Lease, best_progress: Progress, *, stalled: bool = False) -> None:
        further = claims.got_further(*map(sa.literal, best_progress))
        statement = (
            sa.update(task_queue)
            .where(_c.task_id == lease.task_id, _c.lease == lease.number)
            .values(
                attempts=sa.case((further, 0), else_=_c.attempts + int(stalled)),
                deaths=sa.case((further, 0), else_=_c.deaths),
                furthest_step=best_progress.step,
                furthest_bytes=best_progress.bytes,
            )
        )
        if stalled:
            # The holder stays known, because the run may still write to its files. A second
            # call counts nothing.
            statement = statement.where(claims.IS_HELD).values(expires_at=claims.COUNTED)
        else:
            statement = statement.values(owner=None, expires_at=None)
        self._database.write(lambda connection: connection.execute(statement), for_run=True)

    def expire(self, holders: collections.abc.Collection[str]) -> int:
        statement = (
            sa.update(task_queue)
            .where(_c.owner.in_(list(holders)), _c.expires_at > 0)
            .values(expires_at=0)
        )
        return self._database.write(lambda connection: connection.execute(statement).rowcount)

    def holders(self) -> list[str]:
        return self._database.read(lambda connection: list(connection.scalars(_SELECT_HOLDERS)))

    def fail(self, lease: Lease, message: str) -> tuple[str, str]:
        def set_failure(connection: sa.Connection) -> tuple[str, str]:
            entries.set_failure(connection, lease.task_id, message)
            state = connection.execute(_SELECT_STATE, {'entry': lease.task_id}).one()
            return state.outcome, state.message or ''

        return fence.write(self._database, lease, set_failure)

    def outcome(self, lease: Lease) -> tuple[str | None, str]:
        state = fence.read(
            self._database,
            lambda connection: connection.execute(
                _SELECT_STATE, {'entry': lease.task_id}
            ).one_or_none(),
        )
        if state is None:
            raise LostLease(str(lease))
        return state.outcome, state.message or ''

    def verify_lease(self, lease: Lease) -> None:
        number = fence.read(
            self._database,
            lambda connection: connection.scalar(_SELECT_LEASE, {'entry': lease.task_id}),
        )
        if number != lease.number:
            raise LostLease(str(lease))

    def reset_progress(
        self, lease: Lease, flow_version: int, work: collections.abc.Mapping[str, typing.Any]
    ) -> None:
        text = json.dumps(dict(work))

        def reset(connection: sa.Connection) -> None:
            entries.delete_logbook(connection, lease.task_id)
            entries.set_work(connection, lease.task_id, flow_version, text)

        fence.write(self._database, lease, reset)

    def record_leftovers(
        self, lease: Lease, leftovers: collections.abc.Iterable[Leftover]
    ) -> None:
        reported = [dataclasses.asdict(leftover) for leftover in dict.fromkeys(leftovers)]

        def record(connection: sa.Connection) -> None:
            task = {'entry': lease.task_id}
            recorded = [dict(row._mapping) for row in connection.execute(_SELECT_LEFTOVERS, task)]
            new = [leftover for leftover in reported if leftover not in recorded]
            if new:
                added = {
                    'task_id': lease.task_id,
                    'owner': connection.scalar(_SELECT_HOLDER, task),
                }
                connection.execute(_INSERT_LEFTOVER, [leftover | added for leftover in new])

        fence.write(self._database, lease, record)

    def end(self, lease: Lease) -> None:
        def end(connection: sa.Connection) -> None:
            state = connection.execute(_SELECT_STATE, {'entry': lease.task_id}).one()
            if state.outcome == Outcome.FAILURE:
                task_repository.end(
                    connection,
                    lease.task_id,
                    Status.FAILURE,
                    message=state.message,
                    time_to_live=self._time_to_live,
                )
            entries.delete(connection, lease.task_id)

        fence.write(self._database, lease, end)
        self.on_end(lease.task_id)

    def finish(
        self,
        lease: Lease,
        result: collections.abc.Mapping[str, typing.Any],
        writes: collections.abc.Iterable[Write] = (),
    ) -> None:
        # Objects of a plug-in are read here, not inside the transaction.
        accepted = db_writes.accepted(writes, lease)
        shown = json.dumps(dict(result))

        def commit(connection: sa.Connection) -> None:
            state = connection.execute(_SELECT_STATE, {'entry': lease.task_id}).one()
            if state.outcome == Outcome.SUCCESS:
                return
            if state.outcome == Outcome.FAILURE:
                raise errors.TaskFailed(state.message)
            if state.cancel_requested:
                raise errors.Cancelled
            db_writes.apply(connection, accepted)
            task_repository.end(
                connection,
                lease.task_id,
                Status.SUCCESS,
                result=shown,
                time_to_live=self._time_to_live,
            )
            entries.set_success(connection, lease.task_id)

        fence.write(self._database, lease, commit)
        self.on_end(lease.task_id)

    def cancel(self, task_id: str, *, reason: str | None = None, by: str | None = None) -> bool:
        def request(connection: sa.Connection) -> cancels.Answer:
            return cancels.request(
                connection, task_id, reason=reason, by=by, time_to_live=self._time_to_live
            )

        answer = self._database.write(request, urgent=True)
        if answer is cancels.Answer.ENDED:
            self.on_end(task_id)
        return answer is not cancels.Answer.REFUSED
