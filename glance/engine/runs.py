"""What the runs of this process report, and what they are told."""

import contextlib
import dataclasses
import time

from glance import interfaces, threads
from glance.domain import errors
from glance.domain.entry import Claim, Outcome
from glance.domain.lease import Drop, LostLease, Point, Stalled


@dataclasses.dataclass
class Run:
    """One passage through a flow, in this process."""

    claim: Claim
    point: Point = Point()
    noted: Point = Point()  # the furthest point as the queue knows it
    stop: Drop | None = None  # raised at the next look
    cancelled: bool = False
    failing: bool = False  # the outcome is failure: only undo is left to do
    removing: bool = False  # by the thread of the run itself, not by one that steps share
    spent: bool = False  # no attempt is left: what hangs now is left over
    progress_at: float = dataclasses.field(default_factory=time.monotonic)
    at_work: set = dataclasses.field(default_factory=set)  # threads that are in a step
    # what was raised in them, or will be when they come back
    interrupted: dict = dataclasses.field(default_factory=dict)

    @property
    def stalled(self):
        return isinstance(self.stop, Stalled)

    @property
    def furthest(self):
        """How far this task has ever come, for the queue."""
        return max(self.point, self.claim.furthest)


class LiveRuns(interfaces.Runs):
    """The runs of this process by their lease."""

    def __init__(self):
        self._runs = {}

    def begin(self, claim):
        run = self._runs[claim.lease] = Run(
            claim,
            noted=claim.furthest,
            cancelled=claim.cancel_requested,
            failing=claim.outcome == Outcome.FAILURE,
        )
        return run

    def end(self, lease):
        self._runs.pop(lease, None)

    def get(self, lease):
        """The run of this lease. Raises LostLease if it is no more."""
        try:
            return self._runs[lease]
        except KeyError:
            raise LostLease(str(lease)) from None

    def __iter__(self):
        return iter(list(self._runs.values()))

    def __len__(self):
        return len(self._runs)

    def task_ids(self):
        """Tasks that must not be claimed by this process: it still runs them.

        Not those declared stalled: the fence makes what they may still do harmless.
        """
        return {run.claim.lease.task_id for run in self if not run.stalled}

    def busy(self):
        """How many of the threads that steps share are in one."""
        return sum(len(run.at_work) for run in self if not run.removing)

    def stuck(self):
        """How many of them are in a step of a run that was given up."""
        return sum(len(run.at_work) for run in self if run.stalled and not run.removing)

    @contextlib.contextmanager
    def at_work(self, lease):
        run = self.get(lease)
        thread = threads.current()
        run.progress_at = time.monotonic()
        run.at_work.add(thread)
        try:
            yield
        except Drop:
            raise
        except BaseException as error:
            # Libraries make errors of their own of what goes through them.
            if run.interrupted.get(thread, error) is not error:
                raise run.interrupted[thread] from error
            raise
        else:
            if thread in run.interrupted:
                raise run.interrupted[thread]  # it was swallowed, or could not be raised
        finally:
            run.at_work.discard(thread)
            run.interrupted.pop(thread, None)

    def interrupt(self, run, kind):
        """Raise an error of this kind in all threads that are in a step of a run.

        Returns False if one of them goes on, or there was none. It gets the error
        when it comes back.
        """
        raised = []
        for thread in list(run.at_work):
            if thread in run.at_work:  # others ran meanwhile
                run.interrupted[thread] = error = kind()
                raised.append(threads.interrupt(thread, error))
        return bool(raised) and all(raised)

    def progress(self, lease, bytes_done=None):
        run = self.get(lease)
        if bytes_done is None or bytes_done > run.point.bytes:
            run.progress_at = time.monotonic()
        if bytes_done is not None:
            run.point = Point(run.point.step, bytes_done)
        self.check(lease)

    def resume(self, lease, finished):
        """Say how many steps an earlier claim has ended."""
        self.get(lease).point = Point(finished)

    def done(self, lease):
        run = self.get(lease)
        run.progress_at = time.monotonic()
        run.point = Point(run.point.step + 1)

    def check(self, lease):
        run = self.get(lease)
        if run.stop is not None:
            raise run.stop
        if run.failing:
            raise errors.ImportFailed(run.claim.message)
        if run.cancelled:
            raise errors.Cancelled
