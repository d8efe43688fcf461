"""How the engine of one run has its steps done by workers.

A step that moves bytes goes to a worker. All others run in the thread of the engine.
The answer of a worker is only a reason to look into the database.
"""

import concurrent.futures
import dataclasses
import typing

from taskflow.engines.action_engine import executor

from glance.domain import errors
from glance.domain.entry import Claim, Outcome
from glance.domain.lease import DatabaseGone, Drop, Ended, HandBack, HostGone, WorkerGaveUp
from glance.domain.remote_steps import Ending
from glance.engine.active_runs import ActiveRuns
from glance.engine.remote_steps import RemoteSteps
from glance.engine.sending import Sending
from glance.engine.taskflow_engine import InlineTaskExecutor
from glance.flows import atoms
from glance.interfaces.flow import Flow
from glance.interfaces.queue import TaskQueue
from glance.logbook import Logbook


class RemoteTaskExecutor(InlineTaskExecutor):
    """Runs the atoms of one run: here, or at a worker."""

    def __init__(
        self,
        remote: RemoteSteps,
        queue: TaskQueue,
        runs: ActiveRuns,
        flow: Flow,
        claim: Claim,
        logbook: Logbook,
    ) -> None:
        super().__init__()
        self._remote = remote
        self._queue = queue
        self._runs = runs
        self._flow = flow.type, flow.version
        self._claim = claim
        self._logbook = logbook
        self._sent: list[StepFuture] = []

    def execute_task(
        self,
        task: atoms.StepAtom,
        task_uuid: str,
        arguments: dict[str, typing.Any],
        progress_callback: typing.Any = None,
    ) -> concurrent.futures.Future[typing.Any]:
        if not task.step.moves_bytes or self._ends_at_once():
            future: concurrent.futures.Future[typing.Any] = super().execute_task(
                task, task_uuid, arguments, progress_callback
            )
            return future
        place = task.step.place(self._claim.work | arguments)  # may raise what a plug-in raises
        self._logbook.begin()
        self._runs.begun(self._claim.lease, task.name)
        self._claim.lease.events.begun.add(task.name)  # the worker tells it; an undo must know
        sent = StepFuture(self, task)
        self._sent.append(sent)
        elsewhere = self._runs.get(self._claim.lease).elsewhere
        elsewhere.add(sent)
        sent.add_done_callback(elsewhere.discard)
        sending = self._remote.submit(
            self._claim.lease, task.name, dataclasses.replace(place, flow=self._flow)
        )
        sending.future.add_done_callback(sent.take)
        sending.chosen.wait()
        if sending.worker is not None and not sending.future.done():
            self._note_and_send(sending, sending.worker)
        return sent

    def _note_and_send(self, sending: Sending, worker: str) -> None:
        """Note who is to do a step, so that nobody else does it; then send it there."""
        try:
            self._logbook.note_sent(sending.step, worker, sending.id)
        except BaseException as error:
            self._remote.withdraw(sending, error if isinstance(error, Drop) else HandBack())
            raise
        self._remote.send(sending)

    def _ends_at_once(self) -> bool:
        """Whether the step would only raise an error: no worker is needed for that."""
        run = self._runs.get(self._claim.lease)
        return run.stop is not None or run.cancelled or run.failing

    def result_of(self, step: str, ending: Ending) -> typing.Any:
        """What a step has returned, in the thread of the engine. Raises why it has not."""
        lease = self._claim.lease
        if ending is Ending.DONE:
            results = self._logbook.results() or {}
            if step in results:
                self._runs.done(lease)
                return results[step]
        elif ending is Ending.FAILED:
            outcome, message = self._queue.outcome(lease)
            if outcome == Outcome.SUCCESS:
                raise Ended
            if outcome == Outcome.FAILURE:
                self._runs.get(lease).failing = True
                raise errors.TaskFailed(message)
        elif ending is Ending.DATABASE_GONE:
            raise DatabaseGone('a worker does not reach it')
        elif ending is Ending.STUCK:  # undone by the next claim, which has another lease number
            raise WorkerGaveUp
        if self._runs.get(lease).cancelled:  # no worker had it yet
            cancelled = errors.Cancelled()
            if self._queue.fail(lease, str(cancelled))[0] == Outcome.SUCCESS:
                raise Ended
            raise cancelled
        if ending is Ending.HOST_GONE:
            raise HostGone
        raise WorkerGaveUp  # whatever the answer said: nothing in the database shows it

    def wait(self) -> None:
        """Return when no step of this run is awaited any more."""
        for future in self._sent:
            future.exception()

    def stop(self) -> None:
        super().stop()
        self._remote.end_run(self._claim.lease)


class StepFuture(concurrent.futures.Future[typing.Any]):
    """The future of a step at a worker. Whoever asks for its result looks into the database."""

    def __init__(self, owner: RemoteTaskExecutor, task: atoms.StepAtom) -> None:
        super().__init__()
        self.atom = task
        self._owner = owner

    def take(self, answered: concurrent.futures.Future[Ending]) -> None:
        """Called in a thread that must not wait."""
        drop = answered.exception()
        if drop is not None:
            self.set_exception(drop)
        else:
            self.set_result(answered.result())

    def result(self, timeout: float | None = None) -> typing.Any:
        ending = super().result(timeout)
        try:
            return executor.EXECUTED, self._owner.result_of(self.atom.name, ending)
        except Exception as error:
            return executor.EXECUTED, _failure(error)


def _failure(error: Exception) -> typing.Any:
    from taskflow.types import failure

    try:
        raise error
    except Exception:
        return failure.Failure()
