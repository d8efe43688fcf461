"""What every TaskQueue promises, as a test suite."""

import pytest

from glance.domain import errors
from glance.domain.entry import Claim
from glance.domain.lease import Lease, LostLease, Progress
from glance.domain.leftover import Leftover
from glance.domain.steps import RunReport
from glance.domain.task import Status
from glance.testing.contracts.queue_deaths import QueueDeathContract
from glance.testing.contracts.queue_timeline import QueueTimelineContract
from glance.testing.observed_queue import ObservedQueue


class TaskQueueContract(QueueDeathContract, QueueTimelineContract):
    """Mix in; define make_queue(): an empty queue of this kind, as an ObservedQueue."""

    def make_queue(self) -> ObservedQueue:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _set_up(self) -> None:
        self.queue = self.make_queue()

    def _claim(
        self, owner: str = 'a', limit: int = 10, running: tuple[str, ...] = ()
    ) -> list[Claim]:
        return self.queue.claim(owner, limit, seconds=30, versions={'test': 1}, running=running)

    def test_a_claim_goes_by_priority_then_age(self) -> None:
        for task_id, priority in (('t1', 0), ('t2', 0), ('t3', 5)):
            self.queue.add(task_id, priority=priority)
        assert [claim.lease.task_id for claim in self._claim(limit=2)] == ['t3', 't1']

    def test_what_is_held_is_not_claimed_again(self) -> None:
        self.queue.add('t1')
        assert len(self._claim('a')) == 1
        assert self._claim('b') == []

    def test_a_claimed_task_is_processing(self) -> None:
        self.queue.add('t1')
        self._claim()
        assert self.queue.status_of('t1') == (Status.PROCESSING, '')

    def test_an_unknown_type_and_a_newer_version_are_left_alone(self) -> None:
        self.queue.add('t1', version=2)
        assert self._claim() == []
        assert self.queue.claim('a', 1, seconds=30, versions={'other': 9}) == []

    def test_what_this_process_cannot_run_is_counted(self) -> None:
        self.queue.add('t1')
        self.queue.add('t2', version=2)
        self.queue.add('t3', version=2)
        assert self.queue.unclaimable({'test': 2, 'other': 9}) == []
        assert self.queue.unclaimable({'test': 1}) == [('test', 2, 2)]
        assert self.queue.unclaimable({'other': 9}) == [('test', 1, 1), ('test', 2, 2)]
        assert self.queue.unclaimable({}) == self.queue.unclaimable({'other': 9})
        self.queue.claim('newer', 9, seconds=30, versions={'test': 2})  # somebody runs them
        assert self.queue.unclaimable({}) == []

    def test_an_expired_lease_is_claimable_and_its_number_grows(self) -> None:
        self.queue.add('t1')
        [first] = self._claim('a')
        self.queue.expire(['a'])
        [second] = self._claim('b')
        assert second.lease == Lease('t1', first.lease.number + 1)
        assert (first.resumed, second.resumed) == (False, True)

    def test_an_expired_lease_can_be_renewed_while_nobody_took_it(self) -> None:
        self.queue.add('t1')
        [claim] = self._claim('a')
        self.queue.expire(['a'])
        self.queue.renew('a', {claim.lease: None}, seconds=30)
        assert self._claim('b') == []

    def test_a_lost_lease_cannot_be_renewed(self) -> None:
        self.queue.add('t1')
        [claim] = self._claim('a')
        self.queue.expire(['a'])
        [taken] = self._claim('b')
        self.queue.renew('a', {claim.lease: RunReport(Progress(9, 9))}, seconds=30)
        assert [held.lease for held in self.queue.held('b')] == [taken.lease]
        assert self.queue.held('a') == []

    def test_what_a_process_still_runs_is_not_given_to_it(self) -> None:
        self.queue.add('t1')
        self.queue.add('t2')
        self._claim('a', limit=1)
        self.queue.expire(['a'])
        assert [claim.lease.task_id for claim in self._claim('a', 1, running=('t1',))] == ['t2']

    def test_every_write_of_a_lost_lease_is_refused(self) -> None:
        self.queue.add('t1')
        [lost] = self._claim('a')
        self.queue.expire(['a'])
        self._claim('b')
        for write in (
            lambda: self.queue.fail(lost.lease, 'late'),
            lambda: self.queue.end(lost.lease),
            lambda: self.queue.record_leftovers(lost.lease, [Leftover('staging', '/x')]),
            lambda: self.queue.finish(lost.lease, {}),
        ):
            with pytest.raises(LostLease):
                write()
        self.queue.release(lost.lease, Progress())
        assert len(self.queue.held('b')) == 1
        assert self.queue.status_of('t1') == (Status.PROCESSING, '')
        assert self.queue.leftovers_of('t1') == []

    def test_the_first_outcome_stands(self) -> None:
        self.queue.add('t1')
        [claim] = self._claim()
        assert self.queue.outcome(claim.lease) == (None, '')
        assert self.queue.fail(claim.lease, 'one') == ('failure', 'one')
        assert self.queue.fail(claim.lease, 'two') == ('failure', 'one')
        assert self.queue.outcome(claim.lease) == ('failure', 'one')

    def test_a_failed_task_ends_with_its_message_and_leaves_no_entry(self) -> None:
        self.queue.add('t1')
        [claim] = self._claim()
        self.queue.fail(claim.lease, 'one')
        self.queue.end(claim.lease)
        assert self.queue.status_of('t1') == (Status.FAILURE, 'one')
        assert self.queue.holders() == []
        with pytest.raises(LostLease):
            self.queue.outcome(claim.lease)

    def test_a_lost_worker_is_a_death_unless_the_run_got_further(self) -> None:
        self.queue.add('t1')
        [claim] = self._claim('a')
        self.queue.release(claim.lease, Progress(), died=True)
        [claim] = self._claim('b')
        assert (claim.attempts, claim.deaths, claim.predecessor) == (0, 1, 'a')
        self.queue.release(claim.lease, Progress(1), died=True)
        [claim] = self._claim('c')
        assert (claim.attempts, claim.deaths) == (0, 0)

    def test_a_queue_says_to_which_deployment_it_belongs(self) -> None:
        assert self.queue.deployment() == self.queue.deployment() != ''

    def test_what_is_left_is_recorded_once(self) -> None:
        self.queue.add('t1')
        [claim] = self._claim('a')
        location = Leftover('location', 'file:///images/x', 'fast')
        folder = Leftover('staging', '/staging/t1')
        self.queue.record_leftovers(claim.lease, [location, location])
        self.queue.record_leftovers(claim.lease, [folder, location])
        self.queue.fail(claim.lease, 'one')
        self.queue.end(claim.lease)
        assert self.queue.leftovers_of('t1') == [location, folder]

    def test_a_cancel_is_seen_by_the_holder(self) -> None:
        self.queue.add('t1')
        self._claim('a')
        assert [held.cancel_requested for held in self.queue.held('a')] == [False]
        assert self.queue.cancel('t1')
        assert [held.cancel_requested for held in self.queue.held('a')] == [True]

    def test_a_task_that_was_never_claimed_is_cancelled_at_once(self) -> None:
        self.queue.add('t1')
        assert self.queue.cancel('t1', reason='enough', by='me')
        assert self.queue.open() == []
        assert self.queue.status_of('t1') == (Status.FAILURE, str(errors.Cancelled()))
        assert self.queue.cancel_of('t1') == ('enough', 'me')
        assert self._claim() == []

    def test_a_cancel_that_is_under_way_may_be_repeated_and_stays_the_first(self) -> None:
        self.queue.add('t1')
        [claim] = self._claim()
        assert self.queue.cancel('t1', reason='first', by='me')
        assert self.queue.cancel('t1', reason='second', by='you')
        self.queue.fail(claim.lease, str(errors.Cancelled()))
        assert self.queue.cancel('t1')  # it is being undone
        assert self.queue.cancel_of('t1') == ('first', 'me')
        self.queue.end(claim.lease)
        assert not self.queue.cancel('t1')
        assert self.queue.cancel_of('t1') == ('first', 'me')

    def test_a_task_that_is_to_be_cancelled_was_cancelled_whatever_else_failed(self) -> None:
        self.queue.add('t1')
        [claim] = self._claim()
        self.queue.cancel('t1')
        cancelled = ('failure', str(errors.Cancelled()))
        assert self.queue.fail(claim.lease, 'The disk is full.') == cancelled
        assert self.queue.outcome(claim.lease) == cancelled

    def test_a_task_that_fails_already_is_not_cancelled(self) -> None:
        self.queue.add('t1')
        [claim] = self._claim()
        self.queue.fail(claim.lease, 'one')
        assert not self.queue.cancel('t1', reason='late')
        assert self.queue.outcome(claim.lease) == ('failure', 'one')
        assert self.queue.cancel_of('t1') is None

    def test_a_cancel_outlives_its_holder_and_goes_before_all_that_waits(self) -> None:
        self.queue.add('t1')
        [handed_back] = self._claim()
        self.queue.add('t2')
        self._claim('dead')
        self.queue.add('t3', priority=5)
        for task_id in ('t1', 't2'):
            self.queue.cancel(task_id)
        self.queue.release(handed_back.lease, Progress())
        self.queue.expire(['dead'])
        claims = self._claim(limit=2)
        assert {(claim.lease, claim.cancel_requested) for claim in claims} == {
            (Lease('t1', 2), True),
            (Lease('t2', 2), True),
        }

    def test_a_commit_is_final_and_can_be_repeated(self) -> None:
        self.queue.add('t1')
        [claim] = self._claim()
        for _ in range(2):
            self.queue.finish(claim.lease, {'made': 1})
        assert self.queue.outcome(claim.lease) == ('success', '')
        assert self.queue.fail(claim.lease, 'late') == ('success', '')
        assert self.queue.status_of('t1') == (Status.SUCCESS, '')

    def test_a_failed_or_cancelled_task_cannot_commit(self) -> None:
        self.queue.add('t1')
        self.queue.add('t2')
        failed, cancelled = self._claim()
        self.queue.fail(failed.lease, 'one')
        self.queue.cancel('t2')
        with pytest.raises(errors.TaskFailed, match='one'):
            self.queue.finish(failed.lease, {})
        with pytest.raises(errors.Cancelled):
            self.queue.finish(cancelled.lease, {})

    def test_a_result_that_is_no_plain_data_is_refused(self) -> None:
        self.queue.add('t1')
        [claim] = self._claim()
        with pytest.raises(TypeError):
            self.queue.finish(claim.lease, {'made': object()})
        assert self.queue.outcome(claim.lease) == (None, '')

    def test_what_has_ended_cannot_be_cancelled(self) -> None:
        self.queue.add('t1')
        [claim] = self._claim('a')
        self.queue.fail(claim.lease, 'one')
        assert not self.queue.cancel('t1')
        assert not self.queue.cancel('unknown')

    def test_expire_frees_only_the_named_owners(self) -> None:
        self.queue.add('t1')
        self.queue.add('t2')
        self._claim('a', limit=1)
        self._claim('b', limit=1)
        assert self.queue.holders() == ['a', 'b']
        assert self.queue.expire(['a']) == 1
        assert [claim.lease.task_id for claim in self._claim('c')] == ['t1']

    def test_each_end_is_told_after_its_commit(self) -> None:
        told: list[tuple[str, Status]] = []
        self.queue.on_end = lambda task_id: told.append(
            (task_id, self.queue.status_of(task_id)[0])
        )
        self.queue.add('t1')
        self.queue.add('t2')
        good, bad = self._claim()
        self.queue.finish(good.lease, {})
        self.queue.fail(bad.lease, 'It broke.')
        assert told == [('t1', Status.SUCCESS)]
        with pytest.raises(errors.TaskFailed):
            self.queue.finish(bad.lease, {})
        self.queue.end(bad.lease)
        assert told == [('t1', Status.SUCCESS), ('t2', Status.FAILURE)]
        self.queue.add('t3')
        self.queue.cancel('t3')
        assert told[2:] == [('t3', Status.FAILURE)]
