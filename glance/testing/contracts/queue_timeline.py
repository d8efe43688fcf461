"""What every TaskQueue keeps of what happened to a task, and of how far it is."""

import datetime

import pytest

from glance.domain import errors
from glance.domain.entry import Claim
from glance.domain.events import Kind
from glance.domain.lease import Lease, LostLease, Progress
from glance.domain.steps import RunReport, StepReport, StepState
from glance.testing.observed_queue import ObservedQueue

AT = datetime.datetime(2026, 1, 31, 12, 0, tzinfo=datetime.UTC)
BEGIN = [Kind.ACCEPTED, Kind.CLAIMED]
FETCH = StepReport(
    'fetch', StepState.RUNNING, AT, attempt=1, bytes_done=50, bytes_total=100, rate=7
)


class QueueTimelineContract:
    """Mix in with TaskQueueContract, which makes the queue."""

    queue: ObservedQueue

    def _claimed(self, holder: str = 'a') -> Claim:
        self.queue.add('t1')
        return self._claim(holder)[0]

    def _claim(self, holder: str, limit: int = 10, running: tuple[str, ...] = ()) -> list[Claim]:
        raise NotImplementedError

    def _kinds(self) -> list[str]:
        return [event.kind for event in self.queue.events_of('t1')]

    def test_events_of_a_run_wait_for_its_next_write(self) -> None:
        claim = self._claimed('host/folder/boot/12-ab')
        claim.lease.events.tell(Kind.STEP_BEGUN, 'fetch')
        claim.lease.events.tell(Kind.STEP_DONE, 'fetch', bytes_done=7)
        assert self._kinds() == BEGIN
        self.queue.record_leftovers(claim.lease, [])
        begun, done = self.queue.events_of('t1')[2:]
        assert (begun.kind, begun.step, begun.seq) == (Kind.STEP_BEGUN, 'fetch', 3)
        assert (done.kind, done.step, done.seq) == (Kind.STEP_DONE, 'fetch', 4)
        assert (done.attempt, done.host, done.process) == (1, 'host', '12-ab')
        assert done.detail == {'bytes_done': 7}
        assert done.at >= begun.at

    def test_that_a_step_began_makes_no_write_longer(self) -> None:
        claim = self._claimed()
        claim.lease.events.tell(Kind.STEP_BEGUN, 'fetch')
        self.queue.record_leftovers(claim.lease, [])
        assert self._kinds() == BEGIN
        self.queue.fail(claim.lease, 'so', step='fetch')
        assert self._kinds() == [*BEGIN, Kind.STEP_BEGUN, Kind.STEP_FAILED]

    def test_a_lost_lease_tells_nothing(self) -> None:
        lost = self._claimed()
        lost.lease.events.tell(Kind.STEP_DONE, 'fetch')
        self.queue.expire(['a'])
        [later] = self._claim('b')
        with pytest.raises(LostLease):
            self.queue.fail(lost.lease, 'late')
        self.queue.release(lost.lease, Progress())
        self.queue.renew('a', {lost.lease: None}, seconds=30)
        assert self._kinds() == [*BEGIN, Kind.EXPIRED, Kind.CLAIMED]
        self.queue.release(later.lease, Progress())
        assert self._kinds()[-1] == Kind.HANDED_BACK

    def test_the_commit_is_told_once(self) -> None:
        claim = self._claimed()
        claim.lease.events.tell(Kind.STEP_BEGUN, 'finish')
        claim.lease.events.committing = 'finish'
        for _ in range(2):
            self.queue.finish(claim.lease, {})
        self.queue.fail(claim.lease, 'too late', step='finish')
        self.queue.end(claim.lease)
        assert self._kinds() == [*BEGIN, Kind.STEP_BEGUN, Kind.STEP_DONE, Kind.SUCCESS]
        assert self.queue.progress_of('t1')[0] == 100

    def test_a_commit_that_is_refused_tells_nothing(self) -> None:
        claim = self._claimed()
        self.queue.cancel('t1')
        claim.lease.events.tell(Kind.STEP_BEGUN, 'finish')
        with pytest.raises(errors.Cancelled):
            self.queue.finish(claim.lease, {})
        assert Kind.SUCCESS not in self._kinds()
        self.queue.fail(claim.lease, 'cancelled', step='finish')
        assert self._kinds()[-2:] == [Kind.STEP_BEGUN, Kind.STEP_FAILED]

    def test_a_failure_is_told_once_and_its_end_with_the_message(self) -> None:
        claim = self._claimed()
        for _ in range(2):
            self.queue.fail(claim.lease, 'so')
        self.queue.end(claim.lease, progress=40)
        assert self._kinds() == [*BEGIN, Kind.FAILING, Kind.FAILURE]
        assert self.queue.events_of('t1')[-1].detail == {'message': 'so'}
        assert self.queue.progress_of('t1')[0] == 40

    def test_what_is_handed_back_says_why(self) -> None:
        claim = self._claimed()
        self.queue.release(claim.lease, Progress(), stalled=True, reason='no progress')
        self.queue.release(claim.lease, Progress(), stalled=True, reason='no progress')
        assert self._kinds() == [*BEGIN, Kind.HANDED_BACK]
        assert self.queue.events_of('t1')[-1].detail == {'reason': 'no progress'}

    def test_blame_names_the_process_that_died(self) -> None:
        claim = self._claimed('host/folder/boot/12-ab')
        self.queue.blame(claim.lease, 'signal 9')
        blamed = self.queue.events_of('t1')[-1]
        assert (blamed.kind, blamed.detail) == (Kind.BLAMED, {'death': 'signal 9'})
        assert (blamed.attempt, blamed.host, blamed.process) == (1, 'host', '12-ab')

    def test_a_renewal_reports_how_far_a_run_is(self) -> None:
        claim = self._claimed()
        assert self.queue.progress_of('t1') == (0, [])
        report = RunReport(Progress(1, 50), 30, (FETCH,))
        self.queue.renew('a', {claim.lease: report}, seconds=30)
        assert self.queue.progress_of('t1') == (30, [FETCH])
        self.queue.renew('a', {claim.lease: None}, seconds=30)
        assert self.queue.progress_of('t1') == (30, [FETCH])

    def test_a_renewal_of_many_reports_only_what_has_changed(self) -> None:
        for number in range(1, 6):
            self.queue.add(f't{number}')
        leases = {one.lease.task_id: one.lease for one in self._claim('a')}
        leases['t2'].events.tell(Kind.STEP_DONE, 'fetch')
        reports: dict[Lease, RunReport | None] = dict.fromkeys(leases.values()) | {
            leases['t1']: RunReport(Progress(1, 50), 30, (FETCH,)),
            leases['t3']: RunReport(Progress(2, 0), 60),
        }
        self.queue.renew('a', reports, seconds=30)
        assert [self.queue.progress_of(f't{n}')[0] for n in range(1, 6)] == [30, 0, 60, 0, 0]
        assert [event.kind for event in self.queue.events_of('t2')] == [*BEGIN, Kind.STEP_DONE]
        assert self._kinds() == BEGIN
        assert self._claim('b') == []

    def test_a_death_tells_what_the_run_was_at(self) -> None:
        claim = self._claimed()
        self.queue.renew('a', {claim.lease: RunReport(Progress(), 30, (FETCH,))}, seconds=30)
        self.queue.expire(['a'])
        [claim] = self._claim('b')
        assert claim.percent == 30
        expired = self.queue.events_of('t1')[-2]
        assert (expired.kind, expired.step, expired.process) == (Kind.EXPIRED, 'fetch', 'a')
        assert expired.detail == {'bytes_done': 50, 'bytes_total': 100, 'rate': 7}
        [step] = self.queue.progress_of('t1')[1]
        assert (step.state, step.bytes_done) == (StepState.STOPPED, 50)
