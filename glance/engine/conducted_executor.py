"""The base class of executors whose tasks are claimed by a conductor.

It keeps all promises of TaskExecutor but one: how the flow of a claimed task is run.
Executors of other distributions derive from it as well; doc/source/extending.rst
shows how.
"""

import abc
import collections.abc
import typing

from glance.engine.active_runs import ActiveRuns
from glance.engine.conductor import STOP_TIMEOUT, Conductor
from glance.engine.lease_policy import LeasePolicy
from glance.interfaces.executor import FlowRunner, TaskExecutor
from glance.interfaces.flow import Flow
from glance.interfaces.queue import TaskQueue


class ConductedExecutor(TaskExecutor, FlowRunner):
    """An executor that runs the tasks that its conductor claims.

    A subclass says how many tasks are under way at a time (slots) and how one is run
    (run_flow). The conductor claims tasks, renews their leases, notices cancels and
    runs that hang, cleans up and records outcomes. TaskExecutor explains the
    parameters, and FlowRunner what may be overridden as well.

    stop_timeout   seconds that runs get to notice that they should stop
    stall_timeout  seconds without progress after which a run is given up; by
                   default what the operator has configured
    """

    def __init__(
        self,
        conf: typing.Any,
        queue: TaskQueue,
        flows: collections.abc.Mapping[str, Flow],
        holder: str,
        logbook: typing.Any = None,
        *,
        stop_timeout: float = STOP_TIMEOUT,
        stall_timeout: float | None = None,
    ) -> None:
        self._stall_timeout = stall_timeout
        self._conductor = Conductor(
            queue,
            flows,
            holder,
            self,
            self._lease_policy(conf),
            slots=self.slots(conf),
            max_workers=self.max_workers(conf),
            step_threads=self.step_threads(conf),
            stop_timeout=stop_timeout,
        )
        conf.register_mutate_hook(self._adjust)

    def _adjust(self, conf: typing.Any, _changed: object) -> None:
        """Apply the options that may change while tasks run."""
        self._conductor.adjust(self._lease_policy(conf))

    def _lease_policy(self, conf: typing.Any) -> LeasePolicy:
        """The LeasePolicy of the [task] options."""
        stall_timeout = self._stall_timeout
        return LeasePolicy(
            lease_time=conf.task.lease_time,
            stall_timeout=conf.task.stall_timeout if stall_timeout is None else stall_timeout,
            max_attempts=conf.task.max_attempts,
            poll_interval=conf.task.poll_interval,
        )

    @abc.abstractmethod
    def slots(self, conf: typing.Any) -> int:
        """How many tasks may be under way at the same time in this process."""

    def max_workers(self, conf: typing.Any) -> int | None:
        """How many steps may be at work before another one may begin; None: any number.

        A step that waits for bytes of its source is not at work.
        """
        return None

    def step_threads(self, conf: typing.Any) -> int | None:
        """How many threads the steps of all tasks share; None if each task has its own."""
        return None

    @property
    def runs(self) -> ActiveRuns:
        return self._conductor.runs

    def start(self) -> None:
        self._conductor.start()

    def submit(self, task_id: str) -> None:
        self._conductor.wake()

    def cancel(self, task_id: str) -> None:
        self._conductor.look()

    def stop(self, grace: float) -> None:
        self._conductor.stop(grace)
