"""What the runs of this process report, and what they are told."""

import dataclasses
import time

from glance import interfaces
from glance.domain import errors
from glance.domain.entry import Claim, Outcome
from glance.domain.lease import Drop, LostLease, Point, Stalled


@dataclasses.dataclass
class Run:
    """One passage through a flow, in this process."""

    claim: Claim
    point: Point = Point()
    noted_step: int = 0  # of the furthest point, as the queue knows it
    stop: Drop | None = None  # raised at the next look
    cancelled: bool = False
    failing: bool = False  # the outcome is failure: only undo is left to do
    progress_at: float = dataclasses.field(default_factory=time.monotonic)

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
            noted_step=claim.furthest.step,
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
        return {run.claim.lease.task_id for run in self if not isinstance(run.stop, Stalled)}

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
