"""The promises of the interfaces as suites: mix one in, say how to make the thing.

Written with plain asserts, to be collected by pytest.
"""

import math

import pytest

from glance.domain import errors
from glance.domain.entry import Claim
from glance.domain.lease import HandBack, Lease, LostLease, Point
from glance.domain.leftover import Leftover
from glance.domain.task import Status
from glance.interfaces import TaskExecutor, TaskQueue
from glance.testing.fakes import FakeQueue, Gate, gated_flow


class ExecutorContract:
    """What every TaskExecutor promises.

    Define make_executor(queue, flows, stall_timeout=...): an executor, not
    started, of two tasks at a time that looks at the queue every 0.05 s, whose
    runs steps can report to. It is stopped by the suite.

    overlapping  how many steps of one group run at the same time with it
    interrupts   whether it can end a step that hangs: green threads can
    """

    overlapping = 1
    interrupts = True

    def make_executor(
        self, queue: FakeQueue, flows: dict[str, object], *, stall_timeout: float = 600
    ) -> TaskExecutor:
        raise NotImplementedError

    def make_queue(self) -> FakeQueue:
        """Another queue, with all that FakeQueue has, to be run against."""
        return FakeQueue()

    @pytest.fixture(autouse=True)
    def _set_up(self):  # type: ignore[no-untyped-def]
        self.gate = Gate()
        self.queue = self.make_queue()
        self.executor = self._make()
        yield
        self.gate.release()
        self.gate.end_hanging()
        self.executor.stop(5)

    def _make(self, *, group: int = 0, **options: float) -> TaskExecutor:
        flow = gated_flow(self.gate, self.queue, group=group, runs=lambda: self.executor.runs)
        return self.make_executor(self.queue, {'test': flow}, **options)

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
        assert [self.queue.tasks[t][0] for t in ('t1', 't2', 't3')] == [
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
        assert self.queue.tasks['t1'] == (Status.FAILURE, str(errors.SourceTooLarge(7)))

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
        assert 'secret' not in self.queue.tasks['t1'][1]
        assert self.queue.tasks['t1'][1]
        assert ('t1', 'first') in self.gate.undone
        assert self.queue.end_of('t2') == Status.SUCCESS

    def test_a_drop_undoes_nothing_and_the_task_is_run_again(self) -> None:
        self.gate.break_in('t1', 'second', HandBack())
        self.queue.add('t1')
        self.executor.start()
        self.gate.await_entered(2)
        self.queue.wait_until(lambda: not self.queue.owners() or not self.queue.open())
        assert ('t1', 'second') not in self.gate.undone
        assert ('t1', 'first') not in self.gate.undone
        self.gate.breaks.clear()
        assert self.queue.end_of('t1') == Status.SUCCESS

    def test_a_lost_lease_ends_the_run_without_a_word(self) -> None:
        self.executor.start()
        self.gate.hold()
        self.queue.add('t1')
        self.gate.await_entered(1)
        self.queue.expire(self.queue.owners())
        [claim] = self.queue.claim('another', 1, seconds=30, versions={'test': 1})
        self.gate.release()
        self.executor.stop(5)
        assert self.queue.tasks['t1'] == (Status.PROCESSING, '')
        assert self.queue.held('another')[0].lease == claim.lease
        assert self.gate.undone == []

    def test_a_cancel_is_heard_though_nobody_announced_it(self) -> None:
        self.executor.start()
        self.gate.hold()
        self.queue.add('t1')
        self.gate.await_entered(1)
        assert self.queue.cancel('t1')
        self.gate.release()
        assert self.queue.end_of('t1') == Status.FAILURE
        assert self.queue.tasks['t1'][1] == str(errors.Cancelled())
        assert ('t1', 'first') in self.gate.undone

    def test_a_pending_task_can_be_cancelled(self) -> None:
        self.queue.add('t1')
        self.queue.cancel('t1')
        self.executor.start()
        assert self.queue.end_of('t1') == Status.FAILURE
        assert self.gate.done == []

    def test_what_does_not_end_within_grace_is_handed_back(self) -> None:
        self.executor.start()
        self.gate.hold()
        self.queue.add('t1')
        self.gate.await_entered(1)
        self.executor.stop(0.05)  # the step does not look; stop must return all the same
        self.gate.release()
        self.queue.wait_until(lambda: not self.queue.owners())
        assert self.queue.tasks['t1'][0] == Status.PROCESSING
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
        assert self.queue.tasks['t1'][0] == Status.SUCCESS

    def test_nothing_is_claimed_after_stop(self) -> None:
        self.executor.start()
        self.executor.stop(1)
        self.queue.add('t1')
        self.executor.submit('t1')
        assert self.queue.owners() == []
        assert self.queue.tasks['t1'][0] == Status.PENDING

    def test_an_ended_task_is_only_tidied_up(self) -> None:
        self.queue.add('t1')
        [claim] = self.queue.claim('dead', 1, seconds=30, versions={'test': 1})
        self.queue.finish(claim.lease, 'an-image', 'a-location', {})
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
        assert self.queue.tasks['t1'][1] == 'It was so.'
        assert self.gate.done == []
        assert self.gate.undone == [('t1', 'discard')]

    def test_a_task_that_kills_its_processes_is_given_up(self) -> None:
        self.queue.add('t1')
        for _ in range(3):
            assert self.queue.claim('dead', 1, seconds=30, versions={'test': 1})
            self.queue.expire(['dead'])
        self.executor.start()
        assert self.queue.end_of('t1') == Status.FAILURE
        assert '"first"' in self.queue.tasks['t1'][1]
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

    def _hasty(self, **options: int) -> TaskExecutor:
        """One that gives up soon what makes no progress."""
        return self._make(stall_timeout=0.5, **options)

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
            assert '"second"' in self.queue.tasks[task_id][1]
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
        assert self.queue.tasks['t1'][1] == str(errors.SourceTooLarge(7))

    def test_what_cannot_be_interrupted_keeps_its_place_and_not_its_task(self) -> None:
        self.executor = self._hasty()
        self.queue.add('t1')
        self.gate.hang_in('t1', 'second', deaf=True)
        self.executor.start()
        taken: list[Claim] = []

        def taken_by_another() -> bool:
            # Only when both places here are taken does this executor leave it to others.
            if self.gate.inside == 2:
                taken.extend(self.queue.claim('another', 1, seconds=30, versions={'test': 1}))
            return bool(taken)

        self.queue.wait_until(taken_by_another, every=0.05)
        self.queue.add('t2')
        self.executor.submit('t2')
        assert taken[0].lease == Lease('t1', 3)
        assert len(self.executor.runs) == 2  # type: ignore[arg-type]
        assert self.queue.tasks['t2'][0] == Status.PENDING
        self.gate.end_hanging()
        assert self.queue.end_of('t2') == Status.SUCCESS
        assert self.queue.tasks['t1'] == (Status.PROCESSING, '')
        assert not {('t1', 'first'), ('t1', 'second')} & set(self.gate.undone)

    def test_what_cannot_be_undone_is_recorded_and_the_rest_undone(self) -> None:
        self.queue.add('t1')
        self.gate.break_in('t1', 'second')
        self.gate.break_in('t1', 'undo second', OSError('busy'))
        self.executor.start()
        assert self.queue.end_of('t1') == Status.FAILURE
        assert self.queue.left('t1') == [Leftover('thing', 't1/second')]
        assert self.gate.undone == [('t1', 'first')]

    @pytest.mark.parametrize('error', [OSError('busy'), ValueError()])
    def test_a_flow_that_cannot_tidy_up_does_not_keep_its_task(self, error: Exception) -> None:
        self.queue.add('t1')
        self.gate.break_in('t1', 'tidy', error)
        self.executor.start()
        assert self.queue.end_of('t1') == Status.SUCCESS

    def test_a_flow_that_cannot_discard_does_not_keep_its_task(self) -> None:
        self.queue.add('t1')
        for _ in range(3):
            assert self.queue.claim('dead', 1, seconds=30, versions={'test': 1})
            self.queue.expire(['dead'])
        self.gate.break_in('t1', 'discard', OSError('busy'))
        self.executor.start()
        assert self.queue.end_of('t1') == Status.FAILURE


class TaskQueueContract:
    """What every TaskQueue promises. Define make_queue() and add(task_id, priority, version).

    Also status_of(task_id), and left(task_id): what leave() recorded, in order.
    """

    queue: TaskQueue

    def add(self, task_id: str, *, priority: int = 0, version: int = 1) -> None:
        raise NotImplementedError

    def status_of(self, task_id: str) -> tuple[Status, str]:
        raise NotImplementedError

    def left(self, task_id: str) -> list[Leftover]:
        raise NotImplementedError

    def _claim(self, owner: str = 'a', limit: int = 10, running: tuple[str, ...] = ()):  # type: ignore[no-untyped-def]
        return self.queue.claim(owner, limit, seconds=30, versions={'test': 1}, running=running)

    def test_a_claim_goes_by_priority_then_age(self) -> None:
        for task_id, priority in (('t1', 0), ('t2', 0), ('t3', 5)):
            self.add(task_id, priority=priority)
        assert [claim.lease.task_id for claim in self._claim(limit=2)] == ['t3', 't1']

    def test_what_is_held_is_not_claimed_again(self) -> None:
        self.add('t1')
        assert len(self._claim('a')) == 1
        assert self._claim('b') == []

    def test_a_claimed_task_is_processing(self) -> None:
        self.add('t1')
        self._claim()
        assert self.status_of('t1') == (Status.PROCESSING, '')

    def test_an_unknown_type_and_a_newer_version_are_left_alone(self) -> None:
        self.add('t1', version=2)
        assert self._claim() == []
        assert self.queue.claim('a', 1, seconds=30, versions={'other': 9}) == []

    def test_what_this_process_cannot_run_is_counted(self) -> None:
        self.add('t1')
        self.add('t2', version=2)
        self.add('t3', version=2)
        assert self.queue.unclaimable({'test': 2, 'other': 9}) == []
        assert self.queue.unclaimable({'test': 1}) == [('test', 2, 2)]
        assert self.queue.unclaimable({'other': 9}) == [('test', 1, 1), ('test', 2, 2)]
        assert self.queue.unclaimable({}) == self.queue.unclaimable({'other': 9})
        self.queue.claim('newer', 9, seconds=30, versions={'test': 2})  # somebody runs them
        assert self.queue.unclaimable({}) == []

    def test_an_expired_lease_is_claimable_and_its_number_grows(self) -> None:
        self.add('t1')
        [first] = self._claim('a')
        self.queue.expire(['a'])
        [second] = self._claim('b')
        assert second.lease == Lease('t1', first.lease.number + 1)
        assert (first.resumed, second.resumed) == (False, True)

    def test_an_expired_lease_can_be_renewed_while_nobody_took_it(self) -> None:
        self.add('t1')
        [claim] = self._claim('a')
        self.queue.expire(['a'])
        self.queue.renew('a', {claim.lease: Point(1, 5)}, seconds=30)
        assert self._claim('b') == []

    def test_a_lost_lease_cannot_be_renewed(self) -> None:
        self.add('t1')
        [claim] = self._claim('a')
        self.queue.expire(['a'])
        [taken] = self._claim('b')
        self.queue.renew('a', {claim.lease: Point(9, 9)}, seconds=30)
        assert [held.lease for held in self.queue.held('b')] == [taken.lease]
        assert self.queue.held('a') == []

    def test_what_a_process_still_runs_is_not_given_to_it(self) -> None:
        self.add('t1')
        self.add('t2')
        self._claim('a', limit=1)
        self.queue.expire(['a'])
        assert [claim.lease.task_id for claim in self._claim('a', 1, running=('t1',))] == ['t2']

    def test_every_write_of_a_lost_lease_is_refused(self) -> None:
        self.add('t1')
        [lost] = self._claim('a')
        self.queue.expire(['a'])
        self._claim('b')
        for write in (
            lambda: self.queue.fail(lost.lease, 'late'),
            lambda: self.queue.end(lost.lease),
            lambda: self.queue.leave(lost.lease, [Leftover('staging', '/x')]),
            lambda: self.queue.finish(lost.lease, 'an-image', 'a-location', {}),
        ):
            with pytest.raises(LostLease):
                write()
        self.queue.release(lost.lease, Point())
        assert len(self.queue.held('b')) == 1
        assert self.status_of('t1') == (Status.PROCESSING, '')
        assert self.left('t1') == []

    def test_the_first_outcome_stands(self) -> None:
        self.add('t1')
        [claim] = self._claim()
        assert self.queue.outcome(claim.lease) == (None, '')
        assert self.queue.fail(claim.lease, 'one') == ('failure', 'one')
        assert self.queue.fail(claim.lease, 'two') == ('failure', 'one')
        assert self.queue.outcome(claim.lease) == ('failure', 'one')

    def test_a_failed_task_ends_with_its_message_and_leaves_no_entry(self) -> None:
        self.add('t1')
        [claim] = self._claim()
        self.queue.fail(claim.lease, 'one')
        self.queue.end(claim.lease)
        assert self.status_of('t1') == (Status.FAILURE, 'one')
        assert self.queue.owners() == []
        with pytest.raises(LostLease):
            self.queue.outcome(claim.lease)

    def test_deaths_without_progress_are_counted(self) -> None:
        self.add('t1')
        for attempts in (0, 1, 2):
            [claim] = self._claim('a')
            assert claim.attempts == attempts
            self.queue.expire(['a'])

    def test_progress_begins_the_count_anew(self) -> None:
        self.add('t1')
        self._claim('a')
        self.queue.expire(['a'])
        [claim] = self._claim('a')
        assert claim.attempts == 1
        self.queue.renew('a', {claim.lease: Point(0, 10)}, seconds=30)
        self.queue.expire(['a'])
        [claim] = self._claim('a')
        assert (claim.attempts, claim.furthest) == (0, Point(0, 10))

    def test_a_hand_back_is_no_attempt_a_stall_is(self) -> None:
        self.add('t1')
        [claim] = self._claim('a')
        self.queue.release(claim.lease, Point())
        [claim] = self._claim('a')
        assert claim.attempts == 0
        self.queue.release(claim.lease, Point(), died=True)
        [claim] = self._claim('a')
        assert claim.attempts == 1

    def test_what_is_left_is_recorded_once(self) -> None:
        self.add('t1')
        [claim] = self._claim('a')
        location = Leftover('location', 'file:///images/x', 'fast')
        folder = Leftover('staging', '/staging/t1')
        self.queue.leave(claim.lease, [location, location])
        self.queue.leave(claim.lease, [folder, location])
        self.queue.fail(claim.lease, 'one')
        self.queue.end(claim.lease)
        assert self.left('t1') == [location, folder]

    def test_a_cancel_is_seen_by_the_holder(self) -> None:
        self.add('t1')
        self._claim('a')
        assert [held.cancel_requested for held in self.queue.held('a')] == [False]
        assert self.queue.cancel('t1')
        assert [held.cancel_requested for held in self.queue.held('a')] == [True]

    def test_what_has_ended_cannot_be_cancelled(self) -> None:
        self.add('t1')
        [claim] = self._claim('a')
        self.queue.fail(claim.lease, 'one')
        assert not self.queue.cancel('t1')
        assert not self.queue.cancel('unknown')

    def test_expire_frees_only_the_named_owners(self) -> None:
        self.add('t1')
        self.add('t2')
        self._claim('a', limit=1)
        self._claim('b', limit=1)
        assert self.queue.owners() == ['a', 'b']
        assert self.queue.expire(['a']) == 1
        assert [claim.lease.task_id for claim in self._claim('c')] == ['t1']
