"""Small working stand-ins, themselves held to the contracts of what they stand for."""

import collections
import collections.abc
import dataclasses
import math
import threading
import time
import typing

from glance.domain import errors
from glance.domain.entry import Claim, Entry, Held, Outcome
from glance.domain.lease import Lease, LostLease, Point
from glance.domain.leftover import Leftover
from glance.domain.task import Status
from glance.interfaces import Flow, Group, Step, TaskQueue

PATIENCE = 20.0  # seconds until a test gives up waiting for something that must happen


class FakeClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclasses.dataclass
class _Row:
    entry: Entry
    posted: int
    number: int = 0
    owner: str | None = None
    expires_at: float | None = None
    attempts: int = 0
    furthest: Point = Point()
    begun: Point = Point()
    outcome: str | None = None
    message: str = ''
    cancel_requested: bool = False


class FakeQueue(TaskQueue):
    """A queue in memory. tasks maps each task ever added to (Status, message)."""

    def __init__(self, clock: collections.abc.Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rows: dict[str, _Row] = {}
        self._left: dict[str, list[Leftover]] = {}
        self.tasks: dict[str, tuple[Status, str]] = {}
        self._changed = threading.Condition()

    def add(
        self,
        task_id: str,
        *,
        type_: str = 'test',
        priority: int = 0,
        version: int = 1,
        work: dict[str, typing.Any] | None = None,
    ) -> None:
        """Accept a task, as the API does in the transaction of the task."""
        with self._changed:
            entry = Entry(task_id, type_, version, work or {}, priority)
            self._rows[task_id] = _Row(entry, len(self.tasks))
            self.tasks[task_id] = (Status.PENDING, '')

    def wait_until(self, true: collections.abc.Callable[[], bool], *, every: float = 1.0) -> None:
        """Return as soon as true() is, looked at after each change. Raises TimeoutError.

        every  seconds after which it is looked at though nothing changed here
        """
        until = time.monotonic() + PATIENCE
        with self._changed:
            while not true():
                if time.monotonic() > until:
                    raise TimeoutError(f'Nothing came of it; the tasks are {self.tasks}.')
                self._changed.wait(every)

    def expired(self, task_id: str) -> bool:
        """Whether the lease of a queued task has run out."""
        expires_at = self._rows[task_id].expires_at
        return expires_at is not None and expires_at < self._clock()

    def furthest(self, task_id: str) -> Point:
        """How far a queued task has come, as far as it was noted."""
        return self._rows[task_id].furthest

    def end_of(self, task_id: str) -> Status:
        """The status of a task, once it has ended and is tidied up."""
        self.wait_until(lambda: task_id not in self._rows)
        return self.tasks[task_id][0]

    def open(self) -> list[str]:
        """The tasks that have an entry."""
        return list(self._rows)

    def left(self, task_id: str) -> list[Leftover]:
        """What a task could not remove."""
        return self._left.get(task_id, [])

    def claim(
        self,
        owner: str,
        limit: int,
        *,
        seconds: float,
        versions: collections.abc.Mapping[str, int],
        running: collections.abc.Collection[str] = (),
    ) -> list[Claim]:
        with self._changed:
            now = self._clock()
            free = [
                row
                for row in self._rows.values()
                if (row.expires_at is None or row.expires_at < now)
                and row.entry.flow_version <= versions.get(row.entry.type, 0)
                and row.entry.task_id not in running
            ]
            free.sort(key=lambda row: (-row.entry.priority, row.posted))
            return [self._take(row, owner, now + seconds) for row in free[:limit]]

    def _take(self, row: _Row, owner: str, until: float) -> Claim:
        if row.owner is not None:
            row.attempts = 0 if row.furthest > row.begun else row.attempts + 1
        predecessor = row.owner
        row.begun, row.owner, row.expires_at = row.furthest, owner, until
        row.number += 1
        task_id = row.entry.task_id
        if self.tasks[task_id][0] == Status.PENDING:
            self.tasks[task_id] = (Status.PROCESSING, '')
        self._changed.notify_all()
        return Claim(
            Lease(task_id, row.number),
            row.entry.type,
            row.entry.flow_version,
            dict(row.entry.work),
            row.attempts,
            row.furthest,
            row.outcome,
            row.message,
            row.cancel_requested,
            None,
            predecessor,
        )

    def unclaimable(
        self, versions: collections.abc.Mapping[str, int]
    ) -> list[tuple[str, int, int]]:
        with self._changed:
            now = self._clock()
            counted = collections.Counter(
                (row.entry.type, row.entry.flow_version)
                for row in self._rows.values()
                if row.entry.flow_version > versions.get(row.entry.type, -1)
                and (row.expires_at is None or row.expires_at < now)
            )
        return [(*kind, count) for kind, count in sorted(counted.items())]

    def renew(
        self, owner: str, furthest: collections.abc.Mapping[Lease, Point], *, seconds: float
    ) -> None:
        with self._changed:
            for lease, point in furthest.items():
                row = self._rows.get(lease.task_id)
                if row and row.number == lease.number and row.owner == owner:
                    row.furthest, row.expires_at = point, self._clock() + seconds

    def held(self, owner: str) -> list[Held]:
        with self._changed:
            return [
                Held(Lease(task_id, row.number), row.cancel_requested)
                for task_id, row in self._rows.items()
                if row.owner == owner
            ]

    def release(self, lease: Lease, furthest: Point, *, died: bool = False) -> None:
        with self._changed:
            row = self._rows.get(lease.task_id)
            if row and row.number == lease.number:
                row.furthest = furthest
                if died:
                    row.expires_at = 0
                else:
                    row.owner = row.expires_at = None
            self._changed.notify_all()

    def expire(self, owners: collections.abc.Collection[str]) -> int:
        with self._changed:
            rows = [row for row in self._rows.values() if row.owner in owners and row.expires_at]
            for row in rows:
                row.expires_at = 0
            return len(rows)

    def owners(self) -> list[str]:
        with self._changed:
            return sorted({row.owner for row in self._rows.values() if row.owner is not None})

    def fail(self, lease: Lease, message: str) -> tuple[str, str]:
        with self._changed:
            row = self._fenced(lease)
            if row.outcome is None:
                row.outcome, row.message = Outcome.FAILURE, message
            return row.outcome, row.message

    def outcome(self, lease: Lease) -> tuple[str | None, str]:
        with self._changed:
            row = self._rows.get(lease.task_id)
            if row is None:
                raise LostLease(str(lease))
            return row.outcome, row.message

    def check(self, lease: Lease) -> None:
        with self._changed:
            self._fenced(lease)

    def forget(self, lease: Lease, flow_version: int) -> None:
        with self._changed:
            self._fenced(lease)

    def leave(self, lease: Lease, leftovers: collections.abc.Iterable[Leftover]) -> None:
        with self._changed:
            self._fenced(lease)
            known = self._left.setdefault(lease.task_id, [])
            known.extend(one for one in dict.fromkeys(leftovers) if one not in known)

    def end(self, lease: Lease) -> None:
        with self._changed:
            row = self._fenced(lease)
            if row.outcome == Outcome.FAILURE:
                self.tasks[lease.task_id] = (Status.FAILURE, row.message)
            del self._rows[lease.task_id]
            self._changed.notify_all()

    def finish(
        self,
        lease: Lease,
        image_id: str,
        location: str,
        facts: collections.abc.Mapping[str, typing.Any],
    ) -> None:
        with self._changed:
            row = self._fenced(lease)
            if row.outcome == Outcome.SUCCESS:
                return
            if row.cancel_requested:
                raise errors.Cancelled
            row.outcome = Outcome.SUCCESS
            self.tasks[lease.task_id] = (Status.SUCCESS, '')
            self._changed.notify_all()

    def cancel(self, task_id: str) -> bool:
        with self._changed:
            row = self._rows.get(task_id)
            if row is None or row.outcome is not None:
                return False
            row.cancel_requested = True
            return True

    def _fenced(self, lease: Lease) -> _Row:
        row = self._rows.get(lease.task_id)
        if row is None or row.number != lease.number:
            raise LostLease(str(lease))
        return row


class Gate:
    """What the steps of a test did, and a door that holds them."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self._lock = threading.Lock()
        self.done: list[tuple[str, str]] = []  # (task id, step name)
        self.undone: list[tuple[str, str]] = []
        self.inside = 0
        self.most_inside = 0
        self.entered = threading.Semaphore(0)
        self.breaks: dict[tuple[str, str], BaseException] = {}
        self.hangs: dict[tuple[str, str], float] = {}  # how often
        self.deaf: set[tuple[str, str]] = set()
        self._never = threading.Event()

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def break_in(self, task_id: str, step: str, error: BaseException | None = None) -> None:
        """Let a step of a task fail with this error."""
        self.breaks[task_id, step] = error or errors.ImportFailed('It broke on purpose.')

    def hang_in(
        self, task_id: str, step: str, *, times: float = math.inf, deaf: bool = False
    ) -> None:
        """Let a step of a task wait for ever; a deaf one cannot be interrupted either.

        An undo is called 'undo ' and the name of its step.
        """
        self.hangs[task_id, step] = times
        if deaf:
            self.deaf.add((task_id, step))

    def end_hanging(self) -> None:
        """Let go what hangs, so that the process can end."""
        self._never.set()

    def await_entered(self, count: int) -> None:
        """Return when so many more steps have come to the door. Raises TimeoutError."""
        for _ in range(count):
            if not self.entered.acquire(timeout=PATIENCE):
                raise TimeoutError(f'{self.inside} steps inside; more were expected.')

    def pass_through(self, task_id: str, step: str) -> None:
        with self._lock:
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
        self.entered.release()
        try:
            self._open.wait(PATIENCE)
            self.meet(task_id, step)
        finally:
            with self._lock:
                self.inside -= 1
        self.done.append((task_id, step))

    def meet(self, task_id: str, step: str) -> None:
        """What was told to happen to a step of a task happens."""
        if self.hangs.get((task_id, step), 0) > 0:
            self.hangs[task_id, step] -= 1
            self._hang(deaf=(task_id, step) in self.deaf)
        if (task_id, step) in self.breaks:
            raise self.breaks[task_id, step]

    def _hang(self, deaf: bool) -> None:
        while not self._never.is_set():
            try:
                self._never.wait()
            except BaseException:
                if not deaf:
                    raise


class GatedStep(Step):
    """A step that does nothing but pass a Gate; with last, it commits as well."""

    def __init__(
        self,
        name: str,
        gate: Gate,
        *,
        queue: TaskQueue | None = None,
        runs: collections.abc.Callable[[], typing.Any] | None = None,
    ) -> None:
        self.name = name
        self.commits = queue is not None
        self._gate = gate
        self._queue = queue
        self._runs = runs

    def do(self, lease: Lease) -> None:
        self._gate.pass_through(lease.task_id, self.name)
        if self._runs is not None:
            self._runs().progress(lease)
        if self._queue is not None:
            self._queue.finish(lease, 'an-image', 'a-location', {})

    def undo(self, lease: Lease) -> None:
        self._gate.meet(lease.task_id, f'undo {self.name}')
        self._gate.undone.append((lease.task_id, self.name))

    def leaves(self, lease: Lease) -> list[Leftover]:
        return [Leftover('thing', f'{lease.task_id}/{self.name}')]


def gated_flow(
    gate: Gate,
    queue: TaskQueue,
    *,
    group: int = 0,
    runs: collections.abc.Callable[[], typing.Any] | None = None,
) -> Flow:
    """A flow 'test' of the steps first, second and last; or, with group, of so many
    steps that may run together in the place of second."""
    second: Step | Group = GatedStep('second', gate, runs=runs)
    if group:
        second = Group(GatedStep(f'second-{number}', gate) for number in range(group))
    discarded = gate.undone

    def discard(lease: Lease, work: dict[str, typing.Any]) -> None:
        gate.meet(lease.task_id, 'discard')
        discarded.append((lease.task_id, 'discard'))

    def tidy(lease: Lease) -> None:
        gate.meet(lease.task_id, 'tidy')

    return Flow(
        'test',
        1,
        (GatedStep('first', gate), second, GatedStep('last', gate, queue=queue)),
        discard,
        tidy,
    )
