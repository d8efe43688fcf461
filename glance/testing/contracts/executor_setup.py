"""The executor, the queue and the steps that the tests of ExecutorContract use."""

import collections.abc
import dataclasses

import pytest

from glance import toolbox
from glance.domain.entry import Claim
from glance.interfaces.executor import TaskExecutor
from glance.interfaces.flow import Flow
from glance.testing.fakes.flows import Gate, gated_flow
from glance.testing.fakes.queue import FakeQueue
from glance.testing.fakes.toolbox import fake_toolbox
from glance.testing.observed_queue import ObservedQueue


@dataclasses.dataclass(frozen=True)
class ExecutorSettings:
    """How the suite wants an executor to behave. All times are in seconds."""

    tasks_at_once: int = 2
    poll_interval: float = 0.05  # between two looks at the queue
    lease_time: float = 1.0  # for which a claim holds a task
    stall_timeout: float = 600.0  # without progress, after which a run is given up
    stop_timeout: float = 0.5  # for which stop() waits for runs that were told to stop


class ExecutorSetup:
    """Makes what the tests need, and stops it afterwards.

    Define make_executor(queue, flows, settings). It returns an executor that is
    not started. The suite fills the toolbox for the steps, and stops the executor.

    overlapping  how many steps of one group run at the same time with it
    interrupts   whether it can end a step that hangs: green threads can
    """

    overlapping = 1
    interrupts = True

    def make_executor(
        self, queue: ObservedQueue, flows: dict[str, Flow], settings: ExecutorSettings
    ) -> TaskExecutor:
        raise NotImplementedError

    def make_queue(self) -> ObservedQueue:
        """The queue that the executor works on. Override it to use another one."""
        return FakeQueue()

    @pytest.fixture(autouse=True)
    def _set_up(self) -> collections.abc.Iterator[None]:
        self.gate = Gate()
        self.queue = self.make_queue()
        self.executor = self._make()
        yield
        self.gate.release()
        self.gate.end_hanging()
        self.executor.stop(5)
        toolbox.fill(None)

    def _make(self, *, group: int = 0, stall_timeout: float = 600.0) -> TaskExecutor:
        flow = gated_flow(self.gate, self.queue, group=group, runs=lambda: self.executor.runs)
        settings = ExecutorSettings(stall_timeout=stall_timeout)
        executor = self.make_executor(self.queue, {'test': flow}, settings)
        toolbox.fill(fake_toolbox(self.queue, executor.runs))
        return executor

    def _taken_by_another(self) -> list[Claim]:
        """Let the leases of this executor run out, and another one claim a task in time.

        Until then, this executor may renew its leases at any moment.
        """
        taken: list[Claim] = []

        def take() -> bool:
            self.queue.expire(self.queue.holders())
            taken.extend(self.queue.claim('another', 1, seconds=600, versions={'test': 1}))
            return bool(taken)

        self.queue.wait_until(take, every=0.01)
        return taken
