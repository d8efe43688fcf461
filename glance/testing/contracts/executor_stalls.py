"""What every TaskExecutor promises about steps that make no progress."""

import pytest

from glance.domain import errors
from glance.domain.entry import Claim
from glance.domain.lease import Lease
from glance.domain.task import Status
from glance.interfaces.executor import TaskExecutor
from glance.testing.contracts.executor_setup import ExecutorSetup


class StallContract(ExecutorSetup):
    """A part of ExecutorContract."""

    def _hasty(self, *, group: int = 0, stall_timeout: float = 0.5) -> TaskExecutor:
        """An executor that gives up early on a run without progress."""
        return self._make(group=group, stall_timeout=stall_timeout)

    def _needs_interruption(self) -> None:
        if not self.interrupts:
            pytest.skip('Nothing that hangs can be ended here.')

    def test_steps_that_hang_end_and_keep_nobody_waiting_for_ever(self) -> None:
        self._needs_interruption()
        self.executor = self._hasty()
        for task_id in ('t1', 't2', 't3'):
            self.queue.add(task_id)
        self.gate.hang_in('t1', 'second')
        self.gate.hang_in('t2', 'second')
        self.executor.start()
        assert self.queue.end_of('t3') == Status.SUCCESS
        for task_id in ('t1', 't2'):
            assert self.queue.end_of(task_id) == Status.FAILURE
            assert '"second"' in self.queue.status_of(task_id)[1]
            assert (task_id, 'discard') in self.gate.undone
        assert self.gate.inside == 0

    def test_a_step_that_hung_once_is_done_at_the_next_claim(self) -> None:
        self._needs_interruption()
        self.executor = self._hasty()
        self.queue.add('t1')
        self.gate.hang_in('t1', 'second', times=1)
        self.executor.start()
        assert self.queue.end_of('t1') == Status.SUCCESS
        assert ('t1', 'second') not in self.gate.undone

    def test_a_group_of_which_one_step_hangs_ends(self) -> None:
        self._needs_interruption()
        self.executor = self._hasty(group=2)
        self.queue.add('t1')
        self.gate.hang_in('t1', 'second-1', times=1)
        self.executor.start()
        assert self.queue.end_of('t1') == Status.SUCCESS
        assert self.gate.inside == 0

    def test_an_undo_that_hangs_ends(self) -> None:
        self._needs_interruption()
        self.executor = self._hasty()
        self.queue.add('t1')
        self.gate.break_in('t1', 'second', errors.SourceTooLarge(7))
        self.gate.hang_in('t1', 'undo first')
        self.executor.start()
        assert self.queue.end_of('t1') == Status.FAILURE
        assert self.queue.status_of('t1')[1] == str(errors.SourceTooLarge(7))

    def test_what_cannot_be_interrupted_keeps_its_place_and_not_its_task(self) -> None:
        # Each run must come to its second step in time, or there are more claims than two.
        self.executor = self._hasty(stall_timeout=2)
        self.queue.add('t1')
        self.gate.hang_in('t1', 'second', deaf=True)
        self.executor.start()
        taken: list[Claim] = []

        def taken_by_another() -> bool:
            # Only when both places here are taken does this executor leave it to others.
            if self.gate.inside == 2:
                taken.extend(self.queue.claim('another', 1, seconds=600, versions={'test': 1}))
            return bool(taken)

        self.queue.wait_until(taken_by_another, every=0.05)
        self.queue.add('t2')
        self.executor.submit('t2')
        assert taken[0].lease == Lease('t1', 3)
        assert self.gate.inside == 2
        assert self.queue.status_of('t2')[0] == Status.PENDING
        self.gate.end_hanging()
        assert self.queue.end_of('t2') == Status.SUCCESS
        assert self.queue.status_of('t1') == (Status.PROCESSING, '')
        assert not {('t1', 'first'), ('t1', 'second')} & set(self.gate.undone)
