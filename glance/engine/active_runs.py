"""The runs of this process: what they report, and how they are stopped."""

import collections.abc
import contextlib
import dataclasses
import functools
import threading
import time
import typing

from glance import interrupts, threads
from glance.domain import errors
from glance.domain.entry import Claim, Outcome
from glance.domain.lease import DatabaseGone, Drop, Lease, LostLease, Progress, Stalled
from glance.engine.meter import Meter
from glance.engine.step_slots import StepSlots
from glance.interfaces.executor import RunControl

# Tasks under way at a time, unless the configuration says how many. Most of them may wait for
# their source, which costs a native thread much and a green one next to nothing.
MAX_TASKS_GREEN = 500
MAX_TASKS_NATIVE = 16

MAX_WAIT = 3600.0  # seconds; locks of the platform refuse a timeout that is too long


def most_at_a_time(max_tasks: int | None) -> int:
    """How many tasks may be under way in this process.

    max_tasks  the option [taskflow_executor] max_tasks; None if it is not set
    """
    return max_tasks or (MAX_TASKS_GREEN if threads.is_green() else MAX_TASKS_NATIVE)


@dataclasses.dataclass
class Run:
    """One passage through a flow, in this process."""

    claim: Claim
    progress: Progress = Progress()
    saved_progress: Progress = Progress()  # the best progress that the queue knows of
    stop: Drop | None = None  # raised when the run next asks whether it should stop
    cancelled: bool = False
    failing: bool = False  # the outcome is failure, so that the run only undoes its steps
    removing: bool = False  # the thread of the run removes things; no step thread is in use
    spent: bool = False  # no attempt is left: an undo that hangs is abandoned
    progress_at: float = dataclasses.field(default_factory=time.monotonic)
    told_at: float | None = None  # time.monotonic() at which the run was told of its cancel
    meter: Meter = dataclasses.field(default_factory=lambda: Meter(0, {}))
    at_work: set[typing.Any] = dataclasses.field(default_factory=set)  # threads inside a step
    undoing: set[typing.Any] = dataclasses.field(default_factory=set)  # those that undo or remove
    # By thread: the error that was raised in it, or will be when its step returns.
    elsewhere: set[typing.Any] = dataclasses.field(default_factory=set)  # steps at workers
    interrupted: dict[typing.Any, BaseException] = dataclasses.field(default_factory=dict)

    @property
    def stalled(self) -> bool:
        return isinstance(self.stop, Stalled)

    @property
    def doing(self) -> set[typing.Any]:
        """The threads that a cancel may interrupt."""
        return self.at_work - self.undoing

    @property
    def best_progress(self) -> Progress:
        """How far any run of this task has ever come."""
        return max(self.progress, self.claim.best_progress)


class ActiveRuns(RunControl):
    """The runs of this process by their lease.

    max_workers  how many steps may be at work before another one may begin; None: any number
    """

    def __init__(self, max_workers: int | None = None) -> None:
        self._runs: dict[Lease, Run] = {}
        self._slots = StepSlots(max_workers)
        self._ended = threading.Event()
        # No native thread leaves a step, or begins an undo, while it is being interrupted.
        # Green threads need no lock for that, and this one lets all of them in.
        self._lock = threads.original('threading').RLock()

    def begin(self, claim: Claim) -> Run:
        run = self._runs[claim.lease] = Run(
            claim,
            saved_progress=claim.best_progress,
            cancelled=claim.cancel_requested,
            failing=claim.outcome == Outcome.FAILURE,
        )
        return run

    def end(self, lease: Lease) -> None:
        self._runs.pop(lease, None)
        self._ended.set()

    def get(self, lease: Lease) -> Run:
        """The run of this lease. Raises LostLease if it has ended."""
        try:
            return self._runs[lease]
        except KeyError:
            raise LostLease(str(lease)) from None

    def __iter__(self) -> collections.abc.Iterator[Run]:
        return iter(list(self._runs.values()))

    def __len__(self) -> int:
        return len(self._runs)

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until no run is left. Returns False if some are left after these seconds."""
        until = time.monotonic() + seconds
        while self._runs:
            self._ended.clear()
            remaining = until - time.monotonic()
            if not self._runs or remaining <= 0:
                break
            self._ended.wait(min(remaining, MAX_WAIT))
        return not self._runs

    def task_ids(self) -> set[str]:
        """The tasks that this process still runs and must not claim again.

        A stalled run does not count: whatever it still does has no effect, because
        a later claim invalidates its lease.
        """
        return {run.claim.lease.task_id for run in self if not run.stalled}

    @property
    def is_full(self) -> bool:
        """Whether so many steps are at work that no other one may begin."""
        return self._slots.is_full

    def not_waiting(self) -> int:
        """How many runs do something else than wait for bytes of their source, or for a worker."""
        return sum(not (run.elsewhere or self._slots.are_waiting(run.at_work)) for run in self)

    def busy(self) -> int:
        """How many of the shared step threads are inside a step."""
        return sum(len(run.at_work) for run in self if not run.removing)

    def stuck(self) -> int:
        """How many threads are at work in a step of a run that was given up."""
        return sum(self._slots.at_work(run.at_work) for run in self if run.stalled)

    def is_blocked(self) -> bool:
        """Whether all slots are taken by steps of runs that were given up."""
        return self._slots.are_taken_by(self.stuck())

    def are_slots_taken_by(self, runs: collections.abc.Iterable[Run]) -> bool:
        """Whether all slots are taken by steps of these runs."""
        at_work = sum(self._slots.at_work(run.at_work) for run in runs)
        return self._slots.are_taken_by(at_work)

    @contextlib.contextmanager
    def at_work(self, lease: Lease, *, undoing: bool = False) -> collections.abc.Iterator[None]:
        run = self.get(lease)
        thread = threads.current()
        # A cancelled task ends soon, however many steps are at work: its undo does not wait.
        if not run.removing and not (undoing and run.cancelled):
            self._slots.begin(thread, functools.partial(self._raise_in_line, run, undoing))
        run.progress_at = time.monotonic()
        with self._lock:
            run.at_work.add(thread)
            if undoing:
                run.undoing.add(thread)
        try:
            if run.cancelled and not undoing:
                raise errors.Cancelled  # cancel() may have come just before this thread was added
            with interrupts.allowed():
                yield
        except Drop as drop:
            # A connection to the database that is interrupted is closed.
            if isinstance(drop, DatabaseGone) and thread in run.interrupted:
                raise run.interrupted[thread] from drop
            raise
        except BaseException as error:
            # Libraries replace the error that interrupts them with one of their own.
            if run.interrupted.get(thread, error) is not error:
                raise run.interrupted[thread] from error
            raise
        else:
            if thread in run.interrupted:
                # The step swallowed the error, or the thread could not be interrupted.
                raise run.interrupted[thread]
        finally:
            with self._lock:
                run.at_work.discard(thread)
                run.undoing.discard(thread)
                run.interrupted.pop(thread, None)
            self._slots.end(thread)

    def waiting(self, lease: Lease) -> contextlib.AbstractContextManager[None]:
        run, thread = self.get(lease), threads.current()
        if run.removing or thread not in run.at_work:
            return contextlib.nullcontext()  # it has no slot that it could leave
        return self._slots.away(thread)

    @staticmethod
    def _raise_in_line(run: Run, undoing: bool) -> None:
        if run.stop is not None:
            raise run.stop
        if run.cancelled and not undoing:
            raise errors.Cancelled

    def cancel(self, run: Run, kind: type[BaseException] = errors.Cancelled) -> bool:
        """Let a run fail, or be dropped if that is the kind. Interrupts no undo.

        Returns what interrupt() returns.
        """
        run.cancelled = True
        return self.interrupt(run, kind, undos=False)

    def interrupt(self, run: Run, kind: type[BaseException], *, undos: bool = True) -> bool:
        """Raise an error of this class in all threads that are inside a step of a run.

        undos  also in those that undo a step

        Returns False if there is no such thread, or if one of them does not wait in a
        way that can be interrupted. That one gets the error when it next waits, or
        when its step returns.
        """
        raised: list[bool] = []
        for thread in list(run.at_work):
            with self._lock:
                if thread in (run.at_work if undos else run.doing):  # it may have left meanwhile
                    run.interrupted[thread] = error = kind()
                    raised.append(interrupts.interrupt(thread, error))
        return bool(raised) and all(raised)

    def wake(self, run: Run) -> None:
        """Raise the Drop of a stopped run in its threads that wait for their source."""
        for thread in list(run.at_work):
            with self._lock:
                if run.stop is not None and self._slots.are_waiting({thread}):
                    run.interrupted[thread] = run.stop
                    interrupts.interrupt(thread, run.stop)

    def progress(self, lease: Lease, bytes_done: int | None = None) -> None:
        run = self.get(lease)
        if bytes_done is None or bytes_done > run.progress.bytes:
            run.progress_at = time.monotonic()
        if bytes_done is not None:
            run.progress = Progress(run.progress.step, bytes_done)
            run.meter.show(bytes_done)
        self.raise_if_stopped(lease)

    def resume(self, lease: Lease, finished: int) -> None:
        """Note how many steps an earlier claim has finished."""
        run = self.get(lease)
        run.progress = Progress(finished)
        run.meter.resume(finished)

    def begun(self, lease: Lease, step: str) -> None:
        self.get(lease).meter.begun(step)

    def show(self, lease: Lease, bytes_done: int, bytes_total: int | None = None) -> None:
        self.get(lease).meter.show(bytes_done, bytes_total)

    def moved(self, lease: Lease) -> collections.abc.Mapping[str, int]:
        run = self._runs.get(lease)
        return {} if run is None else run.meter.moved()

    def done(self, lease: Lease) -> None:
        run = self.get(lease)
        run.meter.ended(done=True)
        run.progress_at = time.monotonic()
        run.progress = Progress(run.progress.step + 1)

    def raise_if_stopped(self, lease: Lease) -> None:
        run = self.get(lease)
        error: BaseException | None = run.stop
        is_undoing = run.removing or threads.current() in run.undoing
        if error is None and run.failing and not is_undoing:  # what fails is undone to its end
            error = errors.TaskFailed(run.claim.message)
        elif error is None and run.cancelled and not is_undoing:
            error = errors.Cancelled()
        if error is not None:
            interrupts.forget()  # what the step now does to end its work is not interrupted
            raise error
