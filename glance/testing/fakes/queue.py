"""A task queue in memory."""

import collections
import collections.abc
import dataclasses
import json
import threading
import time
import types
import typing

from glance.domain import errors
from glance.domain.entry import Claim, Entry, Held, Outcome
from glance.domain.events import Event, Kind, event_here
from glance.domain.lease import Lease, LostLease, Progress
from glance.domain.leftover import Leftover
from glance.domain.steps import RunReport, StepReport
from glance.domain.suspects import SUSPECT_DEATHS, SuspectGroup
from glance.domain.task import Status
from glance.interfaces.writes import Write
from glance.testing.fakes import writes as fake_writes
from glance.testing.fakes.entry_row import Row
from glance.testing.fakes.events import FakeTimelines
from glance.testing.observed_queue import PATIENCE, ObservedQueue


class FakeQueue(ObservedQueue):
    """A queue in memory.

    tasks    each task ever added, and its (Status, message)
    results  each task that has succeeded, and its result
    cancels  each task that was to be cancelled, with the reason and the user
    """

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._left: dict[str, list[Leftover]] = {}
        self.tasks: dict[str, tuple[Status, str]] = {}
        self.results: dict[str, dict[str, typing.Any]] = {}
        self.cancels: dict[str, tuple[str | None, str | None]] = {}
        self.timelines = FakeTimelines()
        self._changed = threading.Condition()

    def add(
        self,
        task_id: str,
        *,
        type_: str = 'test',
        priority: int = 0,
        version: int = 1,
        work: dict[str, typing.Any] | None = None,
        told: collections.abc.Mapping[str, str] | None = None,
    ) -> None:
        with self._changed:
            entry = Entry(task_id, type_, version, work or {}, priority)
            self._rows[task_id] = Row(entry, len(self.tasks))
            self.tasks[task_id] = (Status.PENDING, '')
            self.timelines.record(task_id, event_here(Kind.ACCEPTED, **(told or {})))

    def wait_until(self, true: collections.abc.Callable[[], bool], *, every: float = 1.0) -> None:
        """Also looks at true() after each change, so every may be long."""
        until = time.monotonic() + PATIENCE
        with self._changed:
            while not true():
                if time.monotonic() > until:
                    raise TimeoutError(f'The test waited in vain; the tasks are {self.tasks}.')
                self._changed.wait(every)

    def expired(self, task_id: str) -> bool:
        """Whether the lease of a queued task has run out."""
        expires_at = self._rows[task_id].expires_at
        return expires_at is not None and expires_at < time.monotonic()

    def best_progress(self, task_id: str) -> Progress:
        """How far a queued task has come, as far as it was noted."""
        return self._rows[task_id].best_progress

    def status_of(self, task_id: str) -> tuple[Status, str]:
        return self.tasks[task_id]

    def cancel_of(self, task_id: str) -> tuple[str | None, str | None] | None:
        return self.cancels.get(task_id)

    def events_of(self, task_id: str) -> list[Event]:
        return list(self.timelines.of[task_id])

    def progress_of(self, task_id: str) -> tuple[int, list[StepReport]]:
        return self.timelines.progress_of(task_id)

    def open(self) -> list[str]:
        return list(self._rows)

    def leftovers_of(self, task_id: str) -> list[Leftover]:
        return self._left.get(task_id, [])

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
        with self._changed:
            now = time.monotonic()
            free = [
                row
                for row in self._rows.values()
                if row.is_free(now)
                and row.entry.flow_version <= versions.get(row.entry.type, 0)
                and row.entry.task_id not in running
            ]
            for row in free:
                if row.count_death():
                    self.timelines.died(row.entry.task_id, row.number, row.owner)
            suspect = [row for row in free if row.deaths >= SUSPECT_DEATHS]
            if suspects is not None:
                free = [row for row in suspect if row.deaths == suspects.deaths]
            elif self.suspects_here and any(self._is_suspect(task_id) for task_id in running):
                return []
            elif self.suspects_here and suspect:
                if running:
                    return []
                free = suspect[:1]
            else:
                free = [row for row in free if row not in suspect]
            free.sort(key=lambda row: (not row.cancel_requested, -row.entry.priority, row.posted))
            return [self._take(row, holder, now + seconds) for row in free[:limit]]

    def _is_suspect(self, task_id: str) -> bool:
        row = self._rows.get(task_id)
        return row is not None and row.deaths >= SUSPECT_DEATHS

    def _take(self, row: Row, holder: str, until: float) -> Claim:
        predecessor = row.owner
        row.begun, row.owner, row.expires_at = row.best_progress, holder, until
        row.counted, row.claimed_at = False, time.monotonic()
        row.number, task_id = row.number + 1, row.entry.task_id
        if self.tasks[task_id][0] == Status.PENDING:
            self.tasks[task_id] = (Status.PROCESSING, '')
        self._changed.notify_all()
        return Claim(
            self.timelines.claimed(task_id, row.number, holder),
            row.entry.type,
            row.entry.flow_version,
            dict(row.entry.work),
            row.attempts,
            row.best_progress,
            row.outcome,
            row.message,
            row.cancel_requested,
            None,
            predecessor,
            row.deaths,
            row.last_death,
            self.progress_of(task_id)[0],
        )

    def suspects(self) -> list[tuple[int, int]]:
        with self._changed:
            known = [row for row in self._rows.values() if row.deaths >= SUSPECT_DEATHS]
        free = [row for row in known if row.is_free(time.monotonic())]
        free.sort(key=lambda row: (not row.cancel_requested, row.claimed_at))
        return list(collections.Counter(row.deaths for row in free).items())

    def blame(self, lease: Lease, death: str) -> None:
        with self._changed:
            row = self._fenced(lease)
            row.attempts, row.last_death = row.attempts + 1, death
            event = Event(Kind.BLAMED, detail={'death': death})
            self.timelines.about(lease.task_id, lease.number, row.owner, event)

    def unclaimable(
        self, versions: collections.abc.Mapping[str, int]
    ) -> list[tuple[str, int, int]]:
        with self._changed:
            counted = collections.Counter(
                (row.entry.type, row.entry.flow_version)
                for row in self._rows.values()
                if row.entry.flow_version > versions.get(row.entry.type, -1)
                and row.is_free(time.monotonic())
            )
        return [(*kind, count) for kind, count in sorted(counted.items())]

    def renew(
        self,
        holder: str,
        reports: collections.abc.Mapping[Lease, RunReport | None],
        *,
        seconds: float,
    ) -> None:
        with self._changed:
            for lease, report in reports.items():
                row = self._rows.get(lease.task_id)
                if row and row.number == lease.number and row.owner == holder:
                    row.expires_at = time.monotonic() + seconds
                    self.timelines.report(lease, report)
                    if report is not None:
                        row.best_progress = report.best

    def held(self, holder: str) -> list[Held]:
        with self._changed:
            return [
                Held(Lease(task_id, row.number), row.cancel_requested)
                for task_id, row in self._rows.items()
                if row.owner == holder
            ]

    def release(
        self,
        lease: Lease,
        best_progress: Progress,
        *,
        stalled: bool = False,
        died: bool = False,
        reason: str = '',
    ) -> None:
        with self._changed:
            row = self._rows.get(lease.task_id)
            if row and row.number == lease.number:
                if not (stalled and row.counted):
                    self.timelines.handed_back(lease, reason)
                row.release(best_progress, stalled=stalled, died=died)
            self._changed.notify_all()

    def expire(self, holders: collections.abc.Collection[str]) -> int:
        with self._changed:
            rows = [row for row in self._rows.values() if row.owner in holders and row.expires_at]
            for row in rows:
                row.expires_at = 0
            return len(rows)

    def holders(self) -> list[str]:
        with self._changed:
            return sorted({row.owner for row in self._rows.values() if row.owner is not None})

    def fail(
        self,
        lease: Lease,
        message: str,
        *,
        step: str | None = None,
        moved: collections.abc.Mapping[str, int] = types.MappingProxyType({}),
    ) -> tuple[str, str]:
        with self._changed:
            row = self._fenced(lease)
            is_first = row.outcome is None
            if row.outcome is None:
                row.outcome = Outcome.FAILURE
                row.message = str(errors.Cancelled()) if row.cancel_requested else message
            if is_first or (step is not None and row.outcome == Outcome.FAILURE):
                kind = Kind.FAILING if step is None else Kind.STEP_FAILED
                self.timelines.write(lease, Event(kind, step, {'message': message, **moved}))
            return row.outcome, row.message

    def outcome(self, lease: Lease) -> tuple[str | None, str]:
        with self._changed:
            row = self._rows.get(lease.task_id)
            if row is None:
                raise LostLease(str(lease))
            return row.outcome, row.message

    def verify_lease(self, lease: Lease) -> None:
        with self._changed:
            self._fenced(lease)

    def reset_progress(
        self, lease: Lease, flow_version: int, work: collections.abc.Mapping[str, typing.Any]
    ) -> None:
        with self._changed:
            row = self._fenced(lease)
            self.timelines.write(lease)
            row.entry = dataclasses.replace(row.entry, flow_version=flow_version, work=dict(work))

    def record_leftovers(
        self, lease: Lease, leftovers: collections.abc.Iterable[Leftover]
    ) -> None:
        with self._changed:
            self._fenced(lease)
            self.timelines.write(lease)
            known = self._left.setdefault(lease.task_id, [])
            known.extend(one for one in dict.fromkeys(leftovers) if one not in known)

    def end(self, lease: Lease, *, progress: int = 0) -> None:
        with self._changed:
            row = self._fenced(lease)
            if row.outcome == Outcome.FAILURE:
                self.tasks[lease.task_id] = (Status.FAILURE, row.message)
                ended = Event(Kind.FAILURE, detail={'message': row.message})
                self.timelines.ended(lease, progress, ended)
            self.timelines.write(lease)
            del self._rows[lease.task_id]
            self._changed.notify_all()
        self.on_end(lease.task_id)

    def finish(
        self,
        lease: Lease,
        result: collections.abc.Mapping[str, typing.Any],
        writes: collections.abc.Iterable[Write] = (),
    ) -> None:
        shown = json.loads(json.dumps(dict(result)))
        with self._changed:
            row = self._fenced(lease)
            if row.outcome == Outcome.SUCCESS:
                return
            if row.outcome == Outcome.FAILURE:
                raise errors.TaskFailed(row.message)
            if row.cancel_requested:
                raise errors.Cancelled
            fake_writes.apply(writes, lease)
            row.outcome = Outcome.SUCCESS
            self.timelines.ended(lease, 100, *lease.events.at_commit())
            self.results[lease.task_id] = shown
            self.tasks[lease.task_id] = (Status.SUCCESS, '')
            self._changed.notify_all()
        self.on_end(lease.task_id)

    def cancel(self, task_id: str, *, reason: str | None = None, by: str | None = None) -> bool:
        with self._changed:
            row = self._rows.get(task_id)
            if row is None or row.outcome is not None or row.cancel_requested:
                return row is not None and row.cancel_requested
            self.cancels[task_id] = reason, by
            row.cancel_requested = True
            given = {'by': by, 'reason': reason}
            self.timelines.record(
                task_id,
                event_here(
                    Kind.CANCEL_REQUESTED, **{key: value for key, value in given.items() if value}
                ),
            )
            if row.number == 0:
                message = str(errors.Cancelled())
                self.timelines.record(task_id, event_here(Kind.FAILURE, message=message))
                self.tasks[task_id] = (Status.FAILURE, message)
                del self._rows[task_id]
            self._changed.notify_all()
        if task_id not in self._rows:
            self.on_end(task_id)
        return True

    def _fenced(self, lease: Lease) -> Row:
        row = self._rows.get(lease.task_id)
        if row is None or row.number != lease.number:
            raise LostLease(str(lease))
        return row
