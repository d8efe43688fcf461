"""Runs the waiting tasks of the queue in this process.

The conductor puts three parts together and starts and stops them:

    claimer    claims waiting tasks and gives each a thread
    lifecycle  takes one claimed task to its end
    watchdog   renews leases, notices cancels, gives up runs that hang

The queue in the database is the only source of work: wake() and look() only
shorten the wait until the next look at it.
"""

import collections.abc
import logging

from glance.domain.lease import HandBack
from glance.engine.active_runs import ActiveRuns
from glance.engine.burst import BurstThrottle
from glance.engine.claimer import MOST_BUSY, Claimer
from glance.engine.lease_policy import LeasePolicy
from glance.engine.lifecycle import RunLifecycle
from glance.engine.watchdog import Watchdog
from glance.interfaces.executor import FlowRunner
from glance.interfaces.flow import Flow
from glance.interfaces.queue import TaskQueue

LOG = logging.getLogger(__name__)

STOP_TIMEOUT = 5.0  # seconds that runs get to notice that they should stop


class Conductor:
    """Claims tasks and runs them, up to so many at the same time.

    flows         the Flow of each task type
    holder        the name under which this process holds leases
    runner        runs and resumes flows
    slots         how many tasks may be under way at the same time
    max_workers   how many steps may be at work before another one may begin; None: any
                  number. A step that waits for bytes of its source is not at work
    step_threads  how many threads the steps of all tasks share; None if each
                  task has its own
    stop_timeout  seconds that runs get to notice that they should stop
    """

    def __init__(
        self,
        queue: TaskQueue,
        flows: collections.abc.Mapping[str, Flow],
        holder: str,
        runner: FlowRunner,
        policy: LeasePolicy,
        *,
        slots: int,
        max_workers: int | None = None,
        step_threads: int | None = None,
        stop_timeout: float = STOP_TIMEOUT,
    ) -> None:
        self.runs = ActiveRuns(max_workers)
        self.policy = policy
        self._stop_timeout = stop_timeout
        self._watchdog = Watchdog(queue, self.runs, holder, policy, step_threads=step_threads)
        self._lifecycle = RunLifecycle(queue, flows, self.runs, runner, policy)
        self._claimer = Claimer(
            queue,
            self.runs,
            holder,
            policy,
            versions={flow.type: flow.version for flow in flows.values()},
            run=self._lifecycle.run,
            slots=slots,
            most_busy=max(MOST_BUSY, max_workers or 0),
            is_blocked=self._watchdog.is_blocked,
            room=runner.room,
            throttle=BurstThrottle(),
        )

    def start(self) -> None:
        self._claimer.start()
        self._watchdog.start()

    def adjust(self, policy: LeasePolicy) -> None:
        """Use these times and limits from now on."""
        self.policy = policy
        self._watchdog.adjust(policy)
        self._lifecycle.adjust(policy)
        self._claimer.adjust(policy)

    def wake(self) -> None:
        """Look at the queue now, because a task was submitted."""
        self._claimer.wake()

    def look(self) -> None:
        """Look for cancel requests now."""
        self._watchdog.look()

    def stop(self, grace: float) -> None:
        """Claim no more; after grace seconds, hand back the tasks that still run."""
        self._lifecycle.stop()
        self._claimer.stop(self._stop_timeout)  # also stop the tasks being claimed right now
        if len(self.runs):
            LOG.info('Waiting %s seconds at most for %s tasks to end', grace, len(self.runs))
        self.runs.wait_until_idle(grace)
        for run in self.runs:
            run.stop = run.stop or HandBack()
            self.runs.wake(run)  # hundreds that hear it one by one would take too long
        if not self.runs.wait_until_idle(self._stop_timeout):
            for run in self.runs:
                LOG.warning(
                    'Task %s did not stop in time; another process can claim it '
                    'when its lease has run out, after %s seconds at most',
                    run.claim.lease.task_id,
                    self.policy.lease_time,
                    extra={'action': 'task_left'},
                )
        self._watchdog.stop(self._stop_timeout)
        if not len(self.runs):
            self._claimer.close()
