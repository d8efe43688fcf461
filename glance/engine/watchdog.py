"""Watches over the runs of this process: renews leases, notices cancels, ends hung runs."""

import logging
import threading
import time

from glance.domain import errors
from glance.domain.lease import Hung, Lease, LostLease, NoFreeThread, Stalled
from glance.domain.steps import RunReport
from glance.engine import cancelling
from glance.engine.active_runs import ActiveRuns, Run
from glance.engine.lease_policy import LeasePolicy
from glance.interfaces.queue import TaskQueue
from glance.threads import StandingThread

LOG = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between two looks for cancel requests
MOST_REPORTS = 100  # runs that report in one such interval, so that this costs little


class Watchdog:
    """One thread that looks after all runs of this process.

    holder        the name under which this process holds leases
    step_threads  how many threads the steps of all tasks share; None if each
                  task has its own
    """

    def __init__(
        self,
        queue: TaskQueue,
        runs: ActiveRuns,
        holder: str,
        policy: LeasePolicy,
        *,
        step_threads: int | None = None,
    ) -> None:
        self._queue = queue
        self._runs = runs
        self._holder = holder
        self._policy = policy
        self._step_threads = step_threads
        self._look = threading.Event()
        self._watching = False
        self._thread: StandingThread | None = None

    def start(self) -> None:
        self._watching = True
        self._thread = StandingThread('watch', self._watch_loop)
        self._thread.start()

    def adjust(self, policy: LeasePolicy) -> None:
        """Use these times and limits from now on."""
        self._policy = policy

    def look(self) -> None:
        """Look for cancel requests now."""
        self._look.set()

    def stop(self, patience: float) -> None:
        """Stop watching. Waits up to patience seconds for the thread to end."""
        self._watching = False
        self._look.set()
        if self._thread is not None:
            self._thread.join(patience)

    def is_blocked(self) -> bool:
        """Whether no step can begin, because of steps of runs that were given up."""
        if self._runs.is_blocked():
            return True
        return self._step_threads is not None and self._runs.stuck() >= self._step_threads

    def _watch_loop(self) -> None:
        renewed_at = time.monotonic()
        while self._watching:
            renew_every = self._policy.lease_time / 3
            self._look.wait(min(INTERVAL, renew_every))
            self._look.clear()
            if not len(self._runs):
                renewed_at = time.monotonic()
                continue
            try:
                self._notice_cancels()
                if time.monotonic() - renewed_at >= renew_every:
                    renewed_at = time.monotonic()
                    self._give_up_hung()
                    self._renew(everything=True)
                else:
                    self._renew()
            except errors.DatabaseUnavailable:
                continue  # the database room has logged it; unclaimed leases can be renewed later
            except Exception:
                LOG.exception('Renewing leases failed; trying again')

    def _notice_cancels(self) -> None:
        """Stop the runs whose lease is lost, and mark those that should be cancelled."""
        running = list(self._runs)  # read before the queue, so that no new run seems to be lost
        held = {one.lease: one.cancel_requested for one in self._queue.held(self._holder)}
        for run in running:
            lease = run.claim.lease
            if lease not in held:
                run.stop = run.stop or LostLease(str(lease))
            elif held[lease]:
                self._cancel(run)

    def _cancel(self, run: Run) -> None:
        cancelling.cancel(self._runs, run, self._release_cancelled)

    def _release_cancelled(self, run: Run) -> None:
        self._queue.release(run.claim.lease, run.best_progress, stalled=True)

    def _renew(self, *, everything: bool = False) -> None:
        """Renew the leases of the runs that have something to report, or all of them."""
        reports: dict[Lease, RunReport | None] = {}
        most = MOST_REPORTS
        for run in sorted(self._runs, key=lambda run: run.meter.reported_at):
            if run.stalled:
                continue
            best = run.best_progress
            report = run.meter.report(best) if most > 0 else None
            if report is None and (
                _has_advanced(run) or (everything and best > run.saved_progress)
            ):
                report = run.meter.now(best)
            if report is not None:
                most -= 1
                run.saved_progress = best
            tells = run.meter.is_long and run.claim.lease.events.due
            if report is not None or everything or tells:
                reports[run.claim.lease] = report
        if reports:
            self._queue.renew(self._holder, reports, seconds=self._policy.lease_time)

    # ------------------------------------------------------------- runs that hang

    def _give_up_hung(self) -> None:
        for run in self._runs:
            if self._hangs(run):
                self._give_up(run)
        if self.is_blocked():
            self._hand_back_waiting()

    def _hangs(self, run: Run) -> bool:
        """Whether a run had a thread for stall_timeout and made no progress."""
        now = time.monotonic()
        if not run.at_work and (self._runs.is_full or self._are_threads_taken()):
            run.progress_at = now  # it waits until it may begin its next step
        return now - run.progress_at > self._policy.stall_timeout

    def _are_threads_taken(self) -> bool:
        return self._step_threads is not None and self._runs.busy() >= self._step_threads

    def _give_up(self, run: Run) -> None:
        """Interrupt a run that hangs. If that is not possible, release its entry here."""
        run.progress_at = time.monotonic()  # interrupted again after another stall_timeout
        task_id = run.claim.lease.task_id
        first = run.stop is None
        if first:
            LOG.error(
                'Task %s has made no progress for %s seconds; its run is given up',
                task_id,
                self._policy.stall_timeout,
                extra={'action': 'task_stalled'},
            )
        if run.spent:
            self._runs.interrupt(run, Hung)  # abandon this undo, so that the others are done
            return
        run.stop = run.stop or Stalled()
        if self._runs.interrupt(run, type(run.stop)) or not first:
            return
        LOG.error(
            'Task %s hangs in a call that cannot be interrupted; '
            'its place in this process stays taken until the call returns',
            task_id,
            extra={'action': 'task_stuck'},
        )
        self._queue.release(
            run.claim.lease, run.best_progress, stalled=True, reason=Stalled.reason
        )

    def _hand_back_waiting(self) -> None:
        """Hand back the runs that wait until they may begin a step, while all others are stuck."""
        for run in self._runs:
            if run.stop is None and not run.at_work:
                run.stop = NoFreeThread()  # first: it must not begin a step that others may claim
                self._queue.release(run.claim.lease, run.best_progress, reason=NoFreeThread.reason)


def _has_advanced(run: Run) -> bool:
    """Whether a run has got further than earlier claims, and the queue does not know it yet."""
    known = run.claim.best_progress
    return run.best_progress > known and run.saved_progress == known
