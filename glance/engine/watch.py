"""Watches over the runs of this process: renews leases, hears cancels, ends what hangs."""

import logging
import threading
import time

from glance.domain import errors
from glance.domain.lease import HandBack, Hung, LostLease, Stalled

LOG = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between two looks at the cancel flags
NOTEWORTHY = 64 * 2**20  # bytes, as many as lie between two checkpoints of a fetch


class Watch:
    """One thread that looks after all runs, as long as there are any.

    runs     the LiveRuns of this process
    workers  threads that all steps share, None: each run has its own

    Times in seconds: lease_time a claim holds, stall_timeout without progress
    until a run is given up.
    """

    def __init__(self, queue, runs, owner, *, lease_time, stall_timeout, workers=None):
        self.stall_timeout = stall_timeout
        self._queue = queue
        self._runs = runs
        self._owner = owner
        self._lease_time = lease_time
        self._workers = workers
        self._look = threading.Event()
        self._watching = False
        self._thread = None

    def start(self):
        self._watching = True
        self._thread = threading.Thread(target=self._watch_on, name='watch', daemon=True)
        self._thread.start()

    def look(self):
        """Look at the cancel flags now."""
        self._look.set()

    def stop(self, patience):
        """Watch no more; wait so many seconds at most for what is being done."""
        self._watching = False
        self._look.set()
        if self._thread is not None:
            self._thread.join(patience)

    def is_blocked(self):
        """Whether all workers are in steps of runs that were given up."""
        return self._workers is not None and self._runs.stuck() >= self._workers

    def _watch_on(self):
        renew_every = self._lease_time / 3
        renewed_at = time.monotonic()
        while self._watching:
            self._look.wait(min(INTERVAL, renew_every))
            self._look.clear()
            if not len(self._runs):
                renewed_at = time.monotonic()
                continue
            try:
                self._hear()
                # Soon, so that a life that ends before the next renewal counts for its progress.
                advanced = any(_has_advanced(run) for run in self._runs)
                if advanced or time.monotonic() - renewed_at >= renew_every:
                    renewed_at = time.monotonic()
                    self._give_up()
                    self._renew()
            except errors.DatabaseUnavailable:
                continue  # said where it was found; leases that nobody takes can be renewed later
            except Exception:
                LOG.exception('Renewing leases failed; trying again')

    def _hear(self):
        running = list(self._runs)  # before asking: what begins meanwhile is not missed below
        held = {one.lease: one.cancel_requested for one in self._queue.held(self._owner)}
        for run in running:
            lease = run.claim.lease
            if lease not in held:
                run.stop = run.stop or LostLease(str(lease))
            elif held[lease]:
                run.cancelled = True

    def _renew(self):
        furthest = {}
        for run in self._runs:
            if not run.stalled:
                furthest[run.claim.lease] = run.furthest
                run.noted = run.furthest
        self._queue.renew(self._owner, furthest, seconds=self._lease_time)

    # ------------------------------------------------------------- what hangs

    def _give_up(self):
        for run in self._runs:
            if self._hangs(run):
                self._end(run)
        if self.is_blocked():
            self._hand_back()

    def _hangs(self, run):
        """Whether a run had a thread for stall_timeout, and made no progress."""
        now = time.monotonic()
        if not run.at_work and self._workers is not None and self._runs.busy() >= self._workers:
            run.progress_at = now  # it waits for a worker
        return now - run.progress_at > self.stall_timeout

    def _end(self, run):
        """Interrupt a run that hangs; where that cannot be done, give its entry back for it."""
        run.progress_at = time.monotonic()  # what does not hear is told again
        task_id = run.claim.lease.task_id
        first = run.stop is None
        if first:
            LOG.error(
                'Task %s has made no progress for %s seconds; its run is given up',
                task_id,
                self.stall_timeout,
                extra={'action': 'task_stalled'},
            )
        if run.spent:
            self._runs.interrupt(run, Hung)  # what it removes is all that is left to do
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
        self._queue.release(run.claim.lease, run.furthest, died=True)

    def _hand_back(self):
        """Give back what waits for workers of which none will come."""
        for run in self._runs:
            if run.stop is None and not run.at_work:
                self._queue.release(run.claim.lease, run.furthest)
                run.stop = HandBack()


def _has_advanced(run):
    """Whether a run has come as much further than is noted as a later claim can make use of."""
    step, received = run.furthest
    return step > run.noted.step or received >= run.noted.bytes + NOTEWORTHY
