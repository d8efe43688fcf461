"""The queue of accepted tasks: claims, leases, outcomes, and the commit of a task."""

import collections.abc
import contextlib
import dataclasses
import json
import types
import typing

import sqlalchemy as sa

from glance.db import (
    cancels,
    claims,
    deployment,
    entries,
    fence,
    releases,
    renewal,
    task_repository,
)
from glance.db import events as db_events
from glance.db import writes as db_writes
from glance.db.models import leftovers as leftovers_table
from glance.db.models import now, task_queue
from glance.db.sessions import Database
from glance.domain import errors
from glance.domain.entry import Claim, Held, Outcome
from glance.domain.events import Event, Kind, place_of
from glance.domain.lease import Lease, LostLease, Progress
from glance.domain.leftover import Leftover
from glance.domain.steps import RunReport
from glance.domain.suspects import SuspectGroup
from glance.domain.task import Status
from glance.interfaces.queue import TaskQueue
from glance.interfaces.writes import Write

_c = task_queue.c

_SELECT_HELD = sa.select(_c.task_id, _c.lease, _c.cancel_requested).where(
    _c.owner == sa.bindparam('holder')
)

_SELECT_STATE = sa.select(_c.outcome, _c.message, _c.cancel_requested, _c.progress).where(
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


class _NothingNew(Exception):
    """The entry has the outcome already, so the write is rolled back with its events."""


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

        def blame(connection: sa.Connection) -> None:
            if connection.execute(statement).rowcount:
                holder = connection.scalar(_SELECT_HOLDER, {'entry': lease.task_id})
                host, process = place_of(holder)
                blamed = Event(
                    Kind.BLAMED,
                    detail={'death': death},
                    attempt=lease.number,
                    host=host,
                    process=process,
                )
                db_events.record(connection, lease.task_id, blamed)

        self._database.write(blame)

    def unclaimable(
        self, versions: collections.abc.Mapping[str, int]
    ) -> list[tuple[str, int, int]]:
        return self._database.read(lambda connection: claims.unclaimable(connection, versions))

    def renew(
        self,
        holder: str,
        reports: collections.abc.Mapping[Lease, RunReport | None],
        *,
        seconds: float,
    ) -> None:
        renewal.renew(self._database, holder, reports, seconds=seconds)

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

    def deployment(self) -> str:
        return deployment.identity(self._database.engine)[0]

    def release(
        self,
        lease: Lease,
        best_progress: Progress,
        *,
        stalled: bool = False,
        died: bool = False,
        reason: str = '',
    ) -> None:
        with db_events.told(lease, Event(Kind.HANDED_BACK, detail={'reason': reason})) as told:

            def release(connection: sa.Connection) -> None:
                values = {
                    'entry': lease.task_id,
                    'number': lease.number,
                    'got_step': best_progress.step,
                    'got_bytes': best_progress.bytes,
                    'count': len(told),
                }
                statement = releases.statement(stalled=stalled, died=died)
                last = db_events.counted(connection, statement, values)
                if last is not None:
                    db_events.insert(connection, told.rows(connection, last))

            self._database.write(release, for_run=True)

    def expire(self, holders: collections.abc.Collection[str]) -> int:
        statement = (
            sa.update(task_queue)
            .where(_c.owner.in_(list(holders)), _c.expires_at > 0)
            .values(expires_at=0)
        )
        return self._database.write(lambda connection: connection.execute(statement).rowcount)

    def holders(self) -> list[str]:
        return self._database.read(lambda connection: list(connection.scalars(_SELECT_HOLDERS)))

    def fail(
        self,
        lease: Lease,
        message: str,
        *,
        step: str | None = None,
        moved: collections.abc.Mapping[str, int] = types.MappingProxyType({}),
    ) -> tuple[str, str]:
        kind = Kind.FAILING if step is None else Kind.STEP_FAILED
        found: list[tuple[str, str]] = []

        def set_failure(connection: sa.Connection) -> None:
            is_first = entries.set_failure(connection, lease.task_id, message)
            state = connection.execute(_SELECT_STATE, {'entry': lease.task_id}).one()
            found[:] = [(state.outcome, state.message or '')]
            if not is_first and (step is None or state.outcome == Outcome.SUCCESS):
                raise _NothingNew

        with contextlib.suppress(_NothingNew):
            event = Event(kind, step, {'message': message, **moved})
            fence.write(self._database, lease, set_failure, event)
        return found[0]

    def outcome(self, lease: Lease) -> tuple[str | None, str]:
        if lease.events.committed:
            return Outcome.SUCCESS, ''
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

    def end(self, lease: Lease, *, progress: int = 0) -> None:
        def end(connection: sa.Connection) -> None:
            if not lease.events.committed:
                self._end_failed(connection, lease, progress)
            entries.delete(connection, lease.task_id)

        fence.write(self._database, lease, end)
        self.on_end(lease.task_id)

    def _end_failed(self, connection: sa.Connection, lease: Lease, progress: int) -> None:
        """End the task if its outcome is a failure; after a success, the commit has ended it."""
        state = connection.execute(_SELECT_STATE, {'entry': lease.task_id}).one()
        if state.outcome != Outcome.FAILURE:
            return
        task_repository.end(
            connection,
            lease.task_id,
            Status.FAILURE,
            message=state.message,
            progress=max(progress, state.progress),
            time_to_live=self._time_to_live,
        )
        ended = Event(
            Kind.FAILURE,
            detail={'message': state.message or ''},
            attempt=lease.number,
            host=lease.events.host,
            process=lease.events.process,
        )
        db_events.record(connection, lease.task_id, ended)

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
            if not entries.set_success(connection, lease.task_id):
                state = connection.execute(_SELECT_STATE, {'entry': lease.task_id}).one()
                if state.outcome == Outcome.SUCCESS:
                    raise _NothingNew
                if state.outcome == Outcome.FAILURE:
                    raise errors.TaskFailed(state.message)
                raise errors.Cancelled
            db_writes.apply(connection, accepted)
            task_repository.end(
                connection,
                lease.task_id,
                Status.SUCCESS,
                result=shown,
                progress=100,
                time_to_live=self._time_to_live,
            )

        with contextlib.suppress(_NothingNew):
            fence.write(self._database, lease, commit, *lease.events.at_commit())
        lease.events.committed = True
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
