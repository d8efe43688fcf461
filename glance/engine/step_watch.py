"""What a worker does about runs that are cancelled, or whose lease is lost."""

import collections.abc
import logging
import typing

from glance.domain.entry import Held
from glance.domain.lease import DatabaseGone, Lease, LostLease, NoFreeThread
from glance.engine import cancelling
from glance.engine.active_runs import ActiveRuns, Run

LOG = logging.getLogger(__name__)


class HeldLeases(typing.Protocol):
    """What this module uses of glance.db.worker_claims.WorkerClaims."""

    def held(self, leases: collections.abc.Iterable[Lease]) -> list[Held]: ...


class StepWatch:
    """Looks at the leases of all steps of this process with one question to the queue.

    give_up  give_up(lease): a step of this cancelled run does not listen

    is_blocked  whether no step can begin here, because steps of lost leases do not end
    is_cut_off  whether the database does not answer this process; look() finds out when it
                does again
    """

    def __init__(
        self,
        claims: HeldLeases,
        runs: ActiveRuns,
        give_up: collections.abc.Callable[[Lease], None],
    ) -> None:
        self._claims = claims
        self._runs = runs
        self._give_up = give_up
        self.is_blocked = False
        self.is_cut_off = False

    def look(self, others: collections.abc.Collection[Lease] = ()) -> set[Lease]:
        """Stop the runs whose lease is lost, and end those that are to be cancelled.

        Returns which of the other leases are lost.
        """
        runs = list(self._runs)
        self.is_blocked = self._runs.are_slots_taken_by(
            run for run in runs if run.stop is not None
        )
        if self.is_blocked:
            self._hand_back_waiting(runs)
        leases = {run.claim.lease for run in runs}.union(others)
        if not leases and not self.is_cut_off:
            return set()
        try:
            held = {one.lease: one.cancel_requested for one in self._claims.held(leases)}
            self.is_cut_off = False
            for run in runs:
                lease = run.claim.lease
                if lease not in held:
                    self._stop(run)
                elif held[lease]:
                    cancelling.cancel(self._runs, run, self._give_back)
        except DatabaseGone:
            self.is_cut_off = True
            return set()
        except LostLease:
            return set()  # the next look finds out
        except Exception:
            LOG.exception('Looking for lost leases failed; trying again')
            return set()
        return set(others) - held.keys()

    @staticmethod
    def _hand_back_waiting(runs: collections.abc.Iterable[Run]) -> None:
        """Other workers can do the steps that wait until they may begin."""
        for run in runs:
            if not run.at_work:
                run.stop = run.stop or NoFreeThread()

    def _stop(self, run: Run) -> None:
        if isinstance(run.stop, LostLease):  # it has been told, and does not listen
            self._runs.interrupt(run, LostLease)
        run.stop = LostLease(str(run.claim.lease))
        self._runs.wake(run)

    def _give_back(self, run: Run) -> None:
        self._give_up(run.claim.lease)
