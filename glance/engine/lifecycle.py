"""The life of one run: run or resume the flow, clean up, and end the task.

The outcome of a task is in the database before anything that follows from it is
done. A process may therefore die at any point: the next claim finds out how far
the task has come, and continues from there.
"""

import collections.abc
import copy
import dataclasses
import logging
import time
import typing

from oslo_context import context as oslo_context

from glance.domain import errors, own_lack
from glance.domain.entry import Claim, Outcome, plain_work
from glance.domain.events import Kind
from glance.domain.lease import (
    DatabaseGone,
    Drop,
    Lacking,
    Lease,
    LostLease,
    QueueBroke,
    RunBroke,
    Stalled,
    WorkerLost,
)
from glance.domain.suspects import MAX_DEATHS
from glance.engine import drop_messages
from glance.engine.active_runs import ActiveRuns
from glance.engine.lease_policy import OUTAGE_PAUSE, LeasePolicy
from glance.engine.meter import Meter
from glance.interfaces.executor import FlowRunner, RunResult
from glance.interfaces.flow import Flow, Work
from glance.interfaces.queue import TaskQueue

Parameters = typing.ParamSpec('Parameters')
Answer = typing.TypeVar('Answer')

LOG = logging.getLogger(__name__)


class RunLifecycle:
    """Takes claimed tasks to their end, one call of run() for each claim.

    flows         the Flow of each task type
    runs          the ActiveRuns of this process
    runner        runs and resumes flows
    outage_pause  seconds between two attempts while the database does not answer
    """

    def __init__(
        self,
        queue: TaskQueue,
        flows: collections.abc.Mapping[str, Flow],
        runs: ActiveRuns,
        runner: FlowRunner,
        policy: LeasePolicy,
        *,
        outage_pause: float = OUTAGE_PAUSE,
    ) -> None:
        self._queue = queue
        self._flows = flows
        self._runs = runs
        self._runner = runner
        self._policy = policy
        self._outage_pause = outage_pause
        self._stopping = False

    def adjust(self, policy: LeasePolicy) -> None:
        """Use these times and limits from now on."""
        self._policy = policy

    def stop(self) -> None:
        """Wait no longer for the database: this process is about to end."""
        self._stopping = True

    def run(self, claim: Claim) -> None:
        """Run a claimed task until it has ended or was dropped. Never raises."""
        lease = claim.lease
        oslo_context.RequestContext(
            request_id=claim.request_id, resource_uuid=lease.task_id, overwrite=True
        )
        try:
            drop = self._run_guarded(claim)
            if drop is not None:
                self._handle_drop(claim, drop)
        finally:
            self._runs.end(lease)

    def _run_guarded(self, claim: Claim) -> Drop | None:
        """Run a claim; returns the Drop that stopped it, or None."""
        try:
            self._process(claim)
        except Drop as drop:
            return drop
        except BaseException as error:
            if own_lack.is_one(error):
                return Lacking(own_lack.sentence(error))
            # An exit or an error of our own. The entry must not stay with a process that
            # does not run it. It counts as an attempt, so that this cannot go on for ever.
            LOG.error(
                'The run of task %s ended with an unexpected error',
                claim.lease.task_id,
                exc_info=error,
                extra={'action': 'run_broke'},
            )
            return RunBroke()
        return None

    def _process(self, claim: Claim) -> None:
        lease = claim.lease
        flow = self._flows[claim.type]
        spent = claim.attempts >= self._policy.max_attempts or claim.deaths >= MAX_DEATHS
        run = self._runs.get(lease)
        run.spent, run.meter = spent, Meter.of(flow, lease.number, claim.percent)
        outcome, message = claim.outcome, claim.message
        if outcome != Outcome.SUCCESS:
            outcome, message = self._run_or_resume(flow, claim, spent)
        self._remove(lease, lambda: flow.cleanup(lease))
        self._runner.remove_logbook(lease)
        _ask(self._queue.end, lease, progress=run.meter.percent)
        LOG.info(
            'Task %s ended: %s%s',
            lease.task_id,
            outcome,
            f'. {message}' if message else '',
            extra={'action': f'task_{outcome}'},
        )

    def _run_or_resume(self, flow: Flow, claim: Claim, spent: bool) -> tuple[str, str]:
        """Run the flow, from where an earlier claim ended if possible.

        spent  no attempt is left: only discard what the task owns, and fail

        Returns the outcome and its message.
        """
        lease = claim.lease
        only_discard = spent or claim.cancel_requested
        resumes = claim.resumed and not only_discard and self._can_resume(flow, claim)
        if claim.flow_version != flow.version:
            work = _upgraded_work(flow, claim)
            if work is None:
                return self._fail_outdated(flow, claim)
            claim = dataclasses.replace(claim, work=work)
            if not claim.resumed:
                _ask(self._queue.reset_progress, lease, flow.version, work)
        if claim.resumed and not resumes:
            self._discard(flow, claim)
        if spent:
            error = errors.AttemptsUsedUp(
                claim.attempts if claim.attempts >= self._policy.max_attempts else claim.deaths,
                step_after(flow, claim.best_progress.step),
                claim.last_death,
            )
            return _ask(self._queue.fail, lease, str(error))
        if not resumes and claim.outcome is not None:
            return claim.outcome, claim.message
        if claim.cancel_requested:
            return _ask(self._queue.fail, lease, str(errors.Cancelled()))
        if resumes:
            lease.events.tell(Kind.RESUMED)
        LOG.info(
            'Task %s %s, claim %s',
            lease.task_id,
            'goes on' if resumes else 'begun',
            lease.number,
            extra={'action': 'task_resumed' if resumes else 'task_begun'},
        )
        result = self._runner.run_flow(flow, claim)
        outcome, message = _ask(self._queue.outcome, lease)
        if outcome == Outcome.SUCCESS:
            return outcome, message
        if result is not RunResult.REVERTED or resumes:
            # An engine does not undo steps that an earlier claim began and did not finish.
            self._discard(flow, claim)
        if outcome is None:
            return _ask(
                self._queue.fail,
                lease,
                'The run of the task ended unexpectedly; the log of the service says more.',
            )
        return outcome, message

    def _fail_outdated(self, flow: Flow, claim: Claim) -> tuple[str, str]:
        """Fail a task whose work cannot be brought up to date. Returns outcome and message."""
        ended = _ask(
            self._queue.fail,
            claim.lease,
            f'The task was posted with version {claim.flow_version} of the task type '
            f'"{flow.type}", and version {flow.version} cannot run it; the log of the service '
            'says more.',
        )
        if claim.resumed:
            self._discard(flow, claim)
        return ended

    def _can_resume(self, flow: Flow, claim: Claim) -> bool:
        """Whether the run can be resumed. If its saved steps cannot be read, it cannot."""
        if claim.flow_version != flow.version:
            LOG.info(
                'Task %s was begun by another version of its flow (%s, now %s); it begins again',
                claim.lease.task_id,
                claim.flow_version,
                flow.version,
            )
            return False
        try:
            return self._runner.can_resume(flow, claim)
        except Exception:
            LOG.exception(
                'The saved steps of task %s cannot be used; it begins again', claim.lease.task_id
            )
            return False

    def _discard(self, flow: Flow, claim: Claim) -> None:
        """Remove everything that the task owns.

        The logbook goes first. If the process died in between, a logbook that is
        left over would claim that the removed things are still there.
        """
        self._runner.remove_logbook(claim.lease)
        _ask(self._queue.reset_progress, claim.lease, flow.version, claim.work)
        events = claim.lease.events
        events.discarding = True
        self._remove(claim.lease, lambda: flow.discard(claim.lease, claim.work))
        events.discarding = False
        events.tell(Kind.DISCARDED)

    def _remove(self, lease: Lease, remove: collections.abc.Callable[[], None]) -> None:
        """Let a flow remove things. An error there must not keep the task from ending."""
        run = self._runs.get(lease)
        run.removing = True
        try:
            remove()
        except Exception:
            LOG.exception(
                'Task %s: some of what it left behind could not be removed',
                lease.task_id,
                extra={'action': 'remove_failed'},
            )
        finally:
            run.removing = False

    def _handle_drop(self, claim: Claim, drop: Drop) -> None:
        """Give the entry of a dropped run back, as soon as the database answers."""
        lease = claim.lease
        LOG.warning(drop_messages.of(drop), lease.task_id, extra={'action': 'task_dropped'})
        if isinstance(drop, LostLease):
            return
        run = self._runs.get(lease)
        run.stop = run.stop or drop  # the watchdog must not renew a lease that is given back
        if isinstance(drop, DatabaseGone | Lacking):
            time.sleep(self._outage_pause)  # otherwise it would be claimed and dropped at once
        while True:
            try:
                self._queue.release(
                    lease,
                    run.best_progress,
                    stalled=isinstance(drop, Stalled),
                    died=isinstance(drop, WorkerLost),
                    reason=drop.reason,
                )
                return
            except errors.DatabaseUnavailable:
                if self._stopping:
                    return  # another process can claim it when the lease has run out
            except Exception as error:
                LOG.error(
                    'Task %s could not be handed back to the queue; trying again: %s: %s',
                    lease.task_id,
                    type(error).__name__,
                    error,
                )
                if self._stopping:
                    return
            time.sleep(self._outage_pause)


def _ask(
    call: collections.abc.Callable[Parameters, Answer],
    *args: Parameters.args,
    **values: Parameters.kwargs,
) -> Answer:
    """Call the queue. Raises QueueBroke for an unknown error: the task is not to blame for it."""
    try:
        return call(*args, **values)
    except errors.GlanceError:
        raise
    except Exception as error:
        LOG.error('The queue raised an unknown error: %s: %s', type(error).__name__, error)
        raise QueueBroke(str(error)) from error


def _upgraded_work(flow: Flow, claim: Claim) -> Work | None:
    """The work of a task of another flow version, brought up to date. None if that fails."""
    try:
        work = flow.upgrade(copy.deepcopy(claim.work), claim.flow_version)
        return plain_work(work, provided=flow.provided())
    except (Exception, SystemExit):  # an exit would be tried again and again, for ever
        LOG.exception(
            'Task %s: the task type "%s" cannot bring its work of version %s up to date',
            claim.lease.task_id,
            flow.type,
            claim.flow_version,
            extra={'action': 'upgrade_failed'},
        )
        return None


def step_after(flow: Flow, finished: int) -> str:
    """The name of the step that follows after so many finished ones."""
    steps = flow.all_steps()
    return steps[min(finished, len(steps) - 1)].name
