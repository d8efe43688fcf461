"""Claims entries, begins runs, ends failed tasks.

The database is the truth: wake() only saves the wait for the next look at it.
One thread claims, one watches over the runs (engine/watch.py); runs have a
bounded pool.
"""

import collections
import enum
import logging
import threading
import time

from oslo_context import context as oslo_context

from glance import threads
from glance.domain import errors
from glance.domain.entry import Outcome
from glance.domain.lease import DatabaseGone, Drop, HandBack, LostLease, Stalled
from glance.engine.runs import LiveRuns
from glance.engine.unclaimable import Unclaimable
from glance.engine.watch import Watch

LOG = logging.getLogger(__name__)

GATHER_TIME = 0.01  # seconds in which more tasks may be posted, to be claimed at once
CROWD = 10  # posts within
CROWD_TIME = 0.1  # so many seconds are a crowd: requests go before runs,
FEW = 2  # of which so many begin meanwhile, each time,
CROWD_LASTS = 5.0  # seconds; one that lasts longer shares with the runs
LONGEST_WAIT = 3600.0  # seconds; a wait without an end is not for every lock
LEAVE_TIME = 5.0  # seconds that runs get to notice that they were told to stop
OUTAGE_PAUSE = 2.0  # seconds between two tries while the database does not answer


class Passage(enum.Enum):
    """How a runner left a flow that it was not dropped from."""

    DONE = 'done'  # each step ended well
    UNDONE = 'undone'  # a step failed and all before it is undone
    BROKEN = 'broken'  # it cannot be told what was undone


class Conductor:
    """Runs what waits in the queue, in this process.

    run     run(flow, claim) -> Passage: walks a flow, its way; raises Drops
    recall  recall(flow, claim) -> bool: whether run() can go on where an earlier
            claim ended
    forget  forget(lease): what recall() could find is not to be found any more
    slots   tasks at the same time
    workers  threads that the steps of all tasks share; None: each task has its own

    Times in seconds: lease_time a claim holds, poll_interval between looks at
    the queue, stall_timeout without progress until a run is given up.
    """

    leave_time = LEAVE_TIME

    def __init__(
        self,
        queue,
        flows,
        owner,
        *,
        run,
        recall,
        forget,
        slots,
        lease_time,
        poll_interval,
        max_attempts,
        stall_timeout,
        workers=None,
    ):
        self.runs = LiveRuns()
        self._queue = queue
        self._flows = flows
        self._versions = {flow.type: flow.version for flow in flows.values()}
        self._unclaimable = Unclaimable(queue, self._versions)
        self._owner = owner
        self._run_flow = run
        self._recall = recall
        self._forget = forget
        self._slots = slots
        self._lease_time = lease_time
        self._poll_interval = poll_interval
        self._max_attempts = max_attempts
        self._wake = threading.Event()
        self._told_at = collections.deque(maxlen=CROWD)  # time.monotonic() of calls of wake()
        self._crowded_since = None
        self._left = threading.Event()
        self._stopping = False
        self._pool = None
        self._claimer = None
        self._watch = Watch(
            queue,
            self.runs,
            owner,
            lease_time=lease_time,
            stall_timeout=stall_timeout,
            workers=workers,
        )

    def start(self):
        self._pool = threads.pool(self._slots)
        self._claimer = threading.Thread(target=self._claim_on, name='claim', daemon=True)
        self._claimer.start()
        self._watch.start()

    def adjust(self, *, poll_interval, max_attempts, stall_timeout):
        """Go on with these values."""
        self._poll_interval = poll_interval
        self._max_attempts = max_attempts
        self._watch.stall_timeout = stall_timeout
        self.wake()

    def wake(self):
        """Look at the queue now."""
        self._told_at.append(time.monotonic())
        self._wake.set()

    def look(self):
        """Look at the cancel flags now."""
        self._watch.look()

    def stop(self, grace):
        """Claim no more; hand back what has not ended after grace seconds."""
        self._stopping = True
        self._wake.set()
        if self._claimer is not None:
            self._claimer.join(self.leave_time)  # what it is claiming is to be told as well
        if len(self.runs):
            LOG.info('Waiting %s seconds at most for %s tasks to end', grace, len(self.runs))
        self._wait_until_idle(grace)
        for run in self.runs:
            run.stop = run.stop or HandBack()
        if not self._wait_until_idle(self.leave_time):
            for run in self.runs:
                LOG.warning(
                    'Task %s does not hear that it should stop; its lease runs out in %s seconds',
                    run.claim.lease.task_id,
                    self._lease_time,
                    extra={'action': 'task_left'},
                )
        self._watch.stop(self.leave_time)
        if self._pool is not None and not len(self.runs):
            self._pool.shutdown(wait=False)  # nothing is in it

    def _wait_until_idle(self, seconds):
        """Wait until nothing runs; False if something still does after so long."""
        until = time.monotonic() + seconds
        while len(self.runs):
            self._left.clear()
            remaining = until - time.monotonic()
            if not len(self.runs) or remaining <= 0:
                break
            self._left.wait(min(remaining, LONGEST_WAIT))
        return not len(self.runs)

    # ------------------------------------------------------------- claiming

    def _claim_on(self):
        most = self._slots
        while not self._stopping:
            self._wake.clear()
            pause = self._poll_interval
            free = min(most, self._slots - len(self.runs))
            if free > 0 and not self._stopping and not self._watch.is_blocked():
                try:
                    self._begin(free)
                    self._unclaimable.look()
                except errors.DatabaseUnavailable:
                    pause = max(pause, OUTAGE_PAUSE)
                except Exception:  # whatever it was, later tasks must not wait for ever
                    LOG.exception('Looking for waiting tasks failed; trying again')
            most = self._slots
            if self._wake.wait(pause):
                time.sleep(GATHER_TIME)
                if self._is_crowded():
                    time.sleep(CROWD_TIME)
                    most = FEW if self._is_crowded() else most

    def _is_crowded(self):
        """Whether tasks are being posted faster than they could be run, and not for long."""
        now = time.monotonic()
        if len(self._told_at) < CROWD or now - self._told_at[0] >= CROWD_TIME:
            self._crowded_since = None
            return False
        self._crowded_since = self._crowded_since or now
        return now - self._crowded_since < CROWD_LASTS

    def _begin(self, free):
        claims = self._queue.claim(
            self._owner,
            free,
            seconds=self._lease_time,
            versions=self._versions,
            running=self.runs.task_ids(),
        )
        for claim in claims:
            self.runs.begin(claim)
        for claim in claims:
            self._pool.submit(self._run, claim)

    # ------------------------------------------------------------- running

    def _run(self, claim):
        """Run one claim from begin to end; nothing may leave this function."""
        lease = claim.lease
        oslo_context.RequestContext(
            request_id=claim.request_id, resource_uuid=lease.task_id, overwrite=True
        )
        try:
            drop = self._end_of(claim)
            if drop is not None:
                self._dropped(claim, drop)
        finally:
            self.runs.end(lease)
            self._left.set()
            self._wake.set()

    def _end_of(self, claim):
        """Run a claim; returns the Drop with which it stopped, or None."""
        try:
            self._pass_through(claim)
        except Drop as drop:
            return drop
        except BaseException as error:
            # An exit or a bug of ours: the entry must not stay with a process that
            # does not run it, and it counts as an attempt so that it cannot go on for ever.
            LOG.error(
                'Running task %s failed',
                claim.lease.task_id,
                exc_info=error,
                extra={'action': 'run_broke'},
            )
            return Stalled()

    def _pass_through(self, claim):
        lease = claim.lease
        flow = self._flows[claim.type]
        self.runs.get(lease).spent = spent = claim.attempts >= self._max_attempts
        outcome, message = claim.outcome, claim.message
        if outcome != Outcome.SUCCESS:
            outcome, message = self._attempt(flow, claim, spent)
        self._removed(lease, flow.tidy, lease)
        self._forget(lease)
        self._queue.end(lease)
        LOG.info(
            'Task %s ended: %s%s',
            lease.task_id,
            outcome,
            f'. {message}' if message else '',
            extra={'action': f'task_{outcome}'},
        )

    def _attempt(self, flow, claim, spent):
        """Run the flow from where an earlier claim ended; returns outcome and message."""
        lease = claim.lease
        goes_on = claim.resumed and not spent and self._goes_on(flow, claim)
        if claim.resumed and not goes_on:
            self._discard(flow, claim)
        if spent:
            error = errors.AttemptsUsedUp(claim.attempts, _step_after(flow, claim.furthest.step))
            return self._queue.fail(lease, str(error))
        if not goes_on and claim.outcome is not None:
            return claim.outcome, claim.message
        if not goes_on and claim.cancel_requested:
            return self._queue.fail(lease, str(errors.Cancelled()))
        LOG.info(
            'Task %s %s, claim %s',
            lease.task_id,
            'goes on' if goes_on else 'begun',
            lease.number,
            extra={'action': 'task_resumed' if goes_on else 'task_begun'},
        )
        passage = self._run_flow(flow, claim)
        outcome, message = self._queue.outcome(lease)
        if outcome == Outcome.SUCCESS:
            return outcome, message
        if passage is not Passage.UNDONE or goes_on:
            # What the atoms of an earlier claim had begun and not ended, no engine undoes.
            self._discard(flow, claim)
        if outcome is None:
            return self._queue.fail(lease, 'The run of the task broke off; the log says more.')
        return outcome, message

    def _goes_on(self, flow, claim):
        """Whether the run can be taken up; what cannot be read is begun again."""
        if claim.flow_version != flow.version:
            LOG.info(
                'Task %s was begun by another version of its flow (%s, now %s); it begins again',
                claim.lease.task_id,
                claim.flow_version,
                flow.version,
            )
            return False
        try:
            return self._recall(flow, claim)
        except Exception:
            LOG.exception(
                'What is known of task %s cannot be used; it begins again', claim.lease.task_id
            )
            return False

    def _discard(self, flow, claim):
        """Remove all that the task owns, its memory first: a death must not leave it alone."""
        self._forget(claim.lease)
        self._queue.forget(claim.lease, flow.version)
        self._removed(claim.lease, flow.discard, claim.lease, claim.work)

    def _removed(self, lease, remove, *args):
        """Have a flow remove things; one that breaks must not keep the task from its end."""
        run = self.runs.get(lease)
        run.removing = True
        try:
            remove(*args)
        except Exception:
            LOG.exception(
                'Task %s: not all that it leaves could be removed',
                lease.task_id,
                extra={'action': 'remove_failed'},
            )
        finally:
            run.removing = False

    def _dropped(self, claim, drop):
        """Give the entry of a dropped run back, as soon as the database answers."""
        lease = claim.lease
        LOG.warning(
            'Task %s stopped in this process, nothing undone: %s',
            lease.task_id,
            type(drop).__name__,
            extra={'action': 'task_dropped'},
        )
        if isinstance(drop, LostLease):
            return
        run = self.runs.get(lease)
        run.stop = run.stop or drop  # what is given back must not be renewed
        if isinstance(drop, DatabaseGone):
            time.sleep(OUTAGE_PAUSE)  # it would only be claimed again, and dropped again
        while True:
            try:
                self._queue.release(lease, run.furthest, died=isinstance(drop, Stalled))
                return
            except errors.DatabaseUnavailable:
                if self._stopping:
                    return  # the lease runs out by itself
            except Exception:
                LOG.exception(
                    'Task %s could not be given back; its lease runs out by itself', lease.task_id
                )
                return
            time.sleep(OUTAGE_PAUSE)


def _step_after(flow, finished):
    steps = flow.each()
    return steps[min(finished, len(steps) - 1)].name
