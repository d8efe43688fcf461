"""Claims waiting tasks from the queue and starts their runs."""

import collections.abc
import concurrent.futures
import logging
import threading
import time

from glance import threads
from glance.domain import errors
from glance.domain.entry import Claim
from glance.engine.active_runs import ActiveRuns
from glance.engine.burst import BurstThrottle
from glance.engine.lease_policy import OUTAGE_PAUSE, LeasePolicy
from glance.engine.unclaimable import UnclaimableReporter
from glance.interfaces.queue import TaskQueue
from glance.threads import StandingThread

LOG = logging.getLogger(__name__)

COALESCE_DELAY = 0.01  # seconds to wait for more submissions, to claim them together

# Most runs that may do something else than wait for their source, unless there may be more
# workers. With hundreds of them, requests would wait for a third of a second.
MOST_BUSY = 16
# While so many are busy, the processor is not idle if further tasks are claimed a bit later,
# more at a time.
ENOUGH_BUSY = MOST_BUSY // 2
BUSY_COALESCE_DELAY = 0.02  # seconds
# Most tasks that are claimed at a time, so that one of several processes does not take all.
CLAIM_BATCH = 16
# Seconds until the next look if more tasks may wait, and all that keeps them from being
# claimed are runs that may begin to wait for their source at any moment.
BUSY_PAUSE = 0.02


class Claimer:
    """One thread that claims tasks, and a pool of threads that run them.

    holder      the name under which this process holds leases
    versions    the flow version that this process knows, by task type
    run         run(claim): runs a claimed task to its end; never raises
    slots       how many tasks may be under way at the same time
    most_busy   how many of them may do something else than wait for their source
    is_blocked  is_blocked(): whether a new run would find no thread for its steps
    room        room(): how many more tasks the executor takes at most
    throttle    limits how many tasks are claimed at a time during a burst
    """

    def __init__(
        self,
        queue: TaskQueue,
        runs: ActiveRuns,
        holder: str,
        policy: LeasePolicy,
        *,
        versions: collections.abc.Mapping[str, int],
        run: collections.abc.Callable[[Claim], None],
        slots: int,
        most_busy: int,
        is_blocked: collections.abc.Callable[[], bool],
        room: collections.abc.Callable[[], float],
        throttle: BurstThrottle,
    ) -> None:
        self._queue = queue
        self._runs = runs
        self._holder = holder
        self._policy = policy
        self._versions = versions
        self._run_claim = run
        self._slots = slots
        self._most_busy = most_busy
        self._is_blocked = is_blocked
        self._room = room
        self._throttle = throttle
        self._unclaimable = UnclaimableReporter(queue, versions)
        self._wake = threading.Event()
        self._stopping = False
        self._closed = False
        self._pool: concurrent.futures.Executor | None = None
        self._thread: StandingThread | None = None

    def start(self) -> None:
        self._pool = pool = threads.pool(self._slots)
        self._thread = StandingThread('claim', self._claim_loop, pool)
        self._thread.start()

    def adjust(self, policy: LeasePolicy) -> None:
        """Use these times and limits from now on."""
        self._policy = policy
        self._wake.set()

    def wake(self) -> None:
        """Look at the queue now, because a task was submitted."""
        self._throttle.note_submission()
        self._wake.set()

    def stop(self, patience: float) -> None:
        """Claim no more. Waits up to patience seconds for a claim that is under way."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(patience)

    def close(self) -> None:
        """Close the pool. To be called when no run is left in it."""
        self._closed = True
        if self._pool is not None:
            self._pool.shutdown(wait=False)

    def _claim_loop(self, pool: concurrent.futures.Executor) -> None:
        limit = CLAIM_BATCH
        while not self._stopping:
            self._wake.clear()
            pause = self._policy.poll_interval
            free = min(limit, self._free())
            more = True  # whether tasks may wait that are not claimed
            if free > 0 and not self._stopping:
                try:
                    more = self._claim(free, pool) == free
                    self._unclaimable.look()
                except errors.DatabaseUnavailable:
                    pause, more = max(pause, OUTAGE_PAUSE), False
                except Exception:  # an unknown error must not keep later tasks from running
                    more = False
                    LOG.exception('Claiming waiting tasks failed; trying again')
            if more and len(self._runs) < self._slots:
                pause = min(pause, BUSY_PAUSE)
            if self._wake.wait(pause):
                is_busy = self._runs.not_waiting() >= ENOUGH_BUSY
                time.sleep(BUSY_COALESCE_DELAY if is_busy else COALESCE_DELAY)
            limit = self._throttle.claim_limit(CLAIM_BATCH)

    def _free(self) -> int:
        """How many tasks there is room for; zero or less if there is none."""
        if self._runs.is_full or self._is_blocked():
            return 0
        free = min(self._slots - len(self._runs), self._most_busy - self._runs.not_waiting())
        return int(min(free, self._room())) if free > 0 else free

    def _claim(self, free: int, pool: concurrent.futures.Executor) -> int:
        """Claim up to so many tasks and begin their runs; returns how many there were."""
        claims = self._queue.claim(
            self._holder,
            free,
            seconds=self._policy.lease_time,
            versions=self._versions,
            running=self._runs.task_ids(),
        )
        if self._closed:  # the claim took longer than the stop has waited for it
            for claim in claims:
                self._queue.release(claim.lease, claim.best_progress)
            return 0
        for claim in claims:
            self._runs.begin(claim)
        for claim in claims:
            pool.submit(self._run, claim)
        return len(claims)

    def _run(self, claim: Claim) -> None:
        try:
            self._run_claim(claim)
        finally:
            self._wake.set()  # its slot is free again
