"""What every TaskExecutor promises, as a test suite."""

import math

import pytest

from glance.domain import errors
from glance.domain.lease import HandBack
from glance.domain.leftover import Leftover
from glance.domain.suspects import MAX_DEATHS, SUSPECT_DEATHS
from glance.domain.task import Status
from glance.testing.contracts.executor_cancels import CancelContract
from glance.testing.contracts.executor_stalls import StallContract
from glance.testing.contracts.executor_timeline import TimelineContract


class ExecutorContract(CancelContract, StallContract, TimelineContract):
    """Mix in; define make_executor() as ExecutorSetup describes it."""

    def test_a_task_nobody_announced_is_run_all_the_same(self) -> None:
        self.executor.start()
        self.queue.add('t1')
        assert self.queue.end_of('t1') == Status.SUCCESS

    def test_steps_are_done_in_order(self) -> None:
        self.queue.add('t1')
        self.executor.start()
        assert self.queue.end_of('t1') == Status.SUCCESS
        assert self.gate.done == [('t1', 'first'), ('t1', 'second'), ('t1', 'last')]
        assert self.gate.undone == []

    def test_submit_does_not_wait_even_when_all_are_busy(self) -> None:
        self.executor.start()
        self.gate.hold()
        for task_id in ('t1', 't2', 't3'):
            self.queue.add(task_id)
            self.executor.submit(task_id)
        self.gate.await_entered(2)
        assert [self.queue.status_of(t)[0] for t in ('t1', 't2', 't3')] == [
            Status.PROCESSING,
            Status.PROCESSING,
            Status.PENDING,
        ]
        self.gate.release()
        assert {self.queue.end_of(t) for t in ('t1', 't2', 't3')} == {Status.SUCCESS}

    def test_a_task_that_breaks_does_not_stop_the_next(self) -> None:
        self.gate.break_in('t1', 'second')
        self.queue.add('t1')
        self.queue.add('t2')
        self.executor.start()
        assert self.queue.end_of('t1') == Status.FAILURE
        assert self.queue.end_of('t2') == Status.SUCCESS

    def test_a_task_that_breaks_says_why(self) -> None:
        self.gate.break_in('t1', 'second', errors.SourceTooLarge(7))
        self.queue.add('t1')
        self.executor.start()
        self.queue.end_of('t1')
        assert self.queue.status_of('t1') == (Status.FAILURE, str(errors.SourceTooLarge(7)))

    def test_what_was_begun_is_undone_backwards(self) -> None:
        self.gate.break_in('t1', 'second')
        self.queue.add('t1')
        self.executor.start()
        self.queue.end_of('t1')
        assert self.gate.undone == [('t1', 'second'), ('t1', 'first')]

    @pytest.mark.parametrize('error', [ValueError('secret'), SystemExit(3), KeyboardInterrupt()])
    def test_an_unexpected_error_fails_the_task_and_keeps_its_words_to_itself(
        self, error: BaseException
    ) -> None:
        self.gate.break_in('t1', 'second', error)
        for task_id in ('t1', 't2'):
            self.queue.add(task_id)
        self.executor.start()
        assert self.queue.end_of('t1') == Status.FAILURE
        assert 'secret' not in self.queue.status_of('t1')[1]
        assert self.queue.status_of('t1')[1]
        assert ('t1', 'first') in self.gate.undone
        assert self.queue.end_of('t2') == Status.SUCCESS

    def test_a_drop_undoes_nothing_and_the_task_is_run_again(self) -> None:
        self.gate.break_in('t1', 'second', HandBack())
        self.queue.add('t1')
        self.executor.start()
        self.gate.await_entered(2)
        self.queue.wait_until(lambda: not self.queue.holders() or not self.queue.open())
        assert ('t1', 'second') not in self.gate.undone
        assert ('t1', 'first') not in self.gate.undone
        self.gate.breaks.clear()
        assert self.queue.end_of('t1') == Status.SUCCESS

    def test_a_lost_lease_ends_the_run_without_a_word(self) -> None:
        self.executor.start()
        self.gate.hold()
        self.queue.add('t1')
        self.gate.await_entered(1)
        [claim] = self._taken_by_another()
        self.gate.release()
        self.executor.stop(5)
        assert self.queue.status_of('t1') == (Status.PROCESSING, '')
        assert self.queue.held('another')[0].lease == claim.lease
        assert self.gate.undone == []

    def test_what_does_not_end_within_grace_is_handed_back(self) -> None:
        self.executor.start()
        self.gate.hold()
        self.queue.add('t1')
        self.gate.await_entered(1)
        self.executor.stop(0.05)  # the step does not look; stop must return all the same
        self.gate.release()
        self.queue.wait_until(lambda: not self.queue.holders())
        assert self.queue.status_of('t1')[0] == Status.PROCESSING
        [claim] = self.queue.claim('another', 1, seconds=30, versions={'test': 1})
        assert claim.attempts == 0
        assert self.gate.undone == []

    @pytest.mark.parametrize('grace', [10, math.inf])
    def test_what_ends_within_grace_is_let_end(self, grace: float) -> None:
        self.executor.start()
        self.gate.hold()
        self.queue.add('t1')
        self.gate.await_entered(1)
        self.gate.release()
        self.executor.stop(grace)
        assert self.queue.status_of('t1')[0] == Status.SUCCESS

    def test_nothing_is_claimed_after_stop(self) -> None:
        self.executor.start()
        self.executor.stop(1)
        self.queue.add('t1')
        self.executor.submit('t1')
        assert self.queue.holders() == []
        assert self.queue.status_of('t1')[0] == Status.PENDING

    def test_an_ended_task_is_only_tidied_up(self) -> None:
        self.queue.add('t1')
        [claim] = self.queue.claim('dead', 1, seconds=30, versions={'test': 1})
        self.queue.finish(claim.lease, {})
        self.queue.expire(['dead'])
        self.executor.start()
        assert self.queue.end_of('t1') == Status.SUCCESS
        assert self.gate.done == []
        assert self.gate.undone == []

    def test_a_task_that_had_failed_is_discarded_and_ended(self) -> None:
        self.queue.add('t1')
        [claim] = self.queue.claim('dead', 1, seconds=30, versions={'test': 1})
        self.queue.fail(claim.lease, 'It was so.')
        self.queue.expire(['dead'])
        self.executor.start()
        assert self.queue.end_of('t1') == Status.FAILURE
        assert self.queue.status_of('t1')[1] == 'It was so.'
        assert self.gate.done == []
        assert self.gate.undone == [('t1', 'discard')]

    def _die(self, times: int) -> None:
        """Let so many processes die during a run of the only task."""
        for _ in range(times):
            assert self.queue.claim('dead', 1, seconds=30, versions={'test': 1})
            self.queue.expire(['dead'])

    def test_a_task_whose_processes_died_runs_to_its_end(self) -> None:
        self.queue.add('t1')
        self._die(MAX_DEATHS - 1)
        self.executor.start()
        assert self.queue.end_of('t1') == Status.SUCCESS

    def test_a_suspect_runs_alone_and_the_others_after_it(self) -> None:
        self.queue.add('t1')
        self._die(SUSPECT_DEATHS)
        self.queue.add('t2')
        self.gate.hold()
        self.executor.start()
        self.gate.await_entered(1)
        assert [run.lease.task_id for run in self.queue.held('this-process')] == ['t1']
        self.gate.release()
        assert self.queue.end_of('t1') == self.queue.end_of('t2') == Status.SUCCESS

    def test_a_task_that_kills_its_processes_is_given_up(self) -> None:
        self.queue.add('t1')
        self._die(MAX_DEATHS)
        self.executor.start()
        assert self.queue.end_of('t1') == Status.FAILURE
        assert '"first"' in self.queue.status_of('t1')[1]
        assert ('t1', 'discard') in self.gate.undone
        assert self.gate.done == []

    def test_200_tasks_at_once_all_end(self) -> None:
        for number in range(200):
            self.queue.add(f't{number}')
        self.gate.break_in('t7', 'second')
        self.executor.start()
        ends = [self.queue.end_of(f't{number}') for number in range(200)]
        assert ends.count(Status.SUCCESS) == 199
        assert ends[7] == Status.FAILURE
        assert self.gate.most_inside <= 2

    def test_steps_of_a_group_overlap_as_promised(self) -> None:
        self.executor = self._make(group=3)
        self.queue.add('t1')
        self.gate.hold()
        self.executor.start()
        self.gate.await_entered(1)  # first
        self.gate.release()
        assert self.queue.end_of('t1') == Status.SUCCESS
        assert sorted(self.gate.done)[1:] == [
            ('t1', 'last'),
            ('t1', 'second-0'),
            ('t1', 'second-1'),
            ('t1', 'second-2'),
        ]
        assert self.gate.most_inside <= self.overlapping

    def test_a_step_of_a_group_that_breaks_has_all_undone(self) -> None:
        self.executor = self._make(group=2)
        self.gate.break_in('t1', 'second-1')
        self.queue.add('t1')
        self.executor.start()
        assert self.queue.end_of('t1') == Status.FAILURE
        assert ('t1', 'first') in self.gate.undone
        assert ('t1', 'second-1') in self.gate.undone

    def test_what_cannot_be_undone_is_recorded_and_the_rest_undone(self) -> None:
        self.queue.add('t1')
        self.gate.break_in('t1', 'second')
        self.gate.break_in('t1', 'undo second', OSError('busy'))
        self.executor.start()
        assert self.queue.end_of('t1') == Status.FAILURE
        assert self.queue.leftovers_of('t1') == [Leftover('thing', 't1/second')]
        assert self.gate.undone == [('t1', 'first')]

    @pytest.mark.parametrize('error', [OSError('busy'), ValueError()])
    def test_a_flow_that_cannot_tidy_up_does_not_keep_its_task(self, error: Exception) -> None:
        self.queue.add('t1')
        self.gate.break_in('t1', 'cleanup', error)
        self.executor.start()
        assert self.queue.end_of('t1') == Status.SUCCESS

    def test_a_flow_that_cannot_discard_does_not_keep_its_task(self) -> None:
        self.queue.add('t1')
        self._die(MAX_DEATHS)
        self.gate.break_in('t1', 'discard', OSError('busy'))
        self.executor.start()
        assert self.queue.end_of('t1') == Status.FAILURE
