"""How every TaskQueue counts the deaths and stalls of runs, and what makes a task suspect."""

from glance.domain.entry import Claim
from glance.domain.lease import Progress
from glance.domain.steps import RunReport
from glance.domain.suspects import SUSPECT_DEATHS, SuspectGroup
from glance.testing.observed_queue import ObservedQueue


class QueueDeathContract:
    """Mix in with TaskQueueContract, which makes the queue."""

    queue: ObservedQueue

    def _claim(self, holder: str, limit: int = 10, running: tuple[str, ...] = ()) -> list[Claim]:
        raise NotImplementedError

    def test_deaths_without_progress_are_counted(self) -> None:
        self.queue.add('t1')
        for deaths in (0, 1, 2):
            [claim] = self._claim('a')
            assert (claim.deaths, claim.attempts) == (deaths, 0)
            self.queue.expire(['a'])

    def test_what_is_suspect_is_claimed_by_its_deaths_only(self) -> None:
        self.queue.suspects_here = False
        self.queue.add('t1')
        for _ in range(SUSPECT_DEATHS):
            assert self._claim('a')
            self.queue.expire(['a'])
        self.queue.add('t2')
        assert [claim.lease.task_id for claim in self._claim('b')] == ['t2']
        assert self.queue.suspects() == [(SUSPECT_DEATHS, 1)]
        assert self._suspects(SUSPECT_DEATHS + 1) == []
        [claim] = self._suspects(SUSPECT_DEATHS)
        assert (claim.lease.task_id, claim.deaths) == ('t1', SUSPECT_DEATHS)
        assert self.queue.suspects() == []

    def test_the_suspects_that_have_waited_the_longest_come_first(self) -> None:
        self.queue.suspects_here = False
        for task_id, deaths in (('t1', SUSPECT_DEATHS + 1), ('t2', SUSPECT_DEATHS)):
            self.queue.add(task_id)
            for number in range(deaths):
                assert self._suspects(number) if number >= SUSPECT_DEATHS else self._claim('a')
                self.queue.expire(['a', 'child'])
                if number >= SUSPECT_DEATHS - 1:
                    assert self._claim('b') == []  # counts the death
        assert self.queue.suspects() == [(SUSPECT_DEATHS + 1, 1), (SUSPECT_DEATHS, 1)]
        assert self.queue.cancel('t2')  # what is to be cancelled waits for nobody
        assert self.queue.suspects() == [(SUSPECT_DEATHS, 1), (SUSPECT_DEATHS + 1, 1)]

    def _suspects(self, deaths: int) -> list[Claim]:
        group = SuspectGroup(deaths, 9)
        return self.queue.claim('child', 9, seconds=30, versions={'test': 1}, suspects=group)

    def test_a_suspect_that_gets_further_is_none_any_more(self) -> None:
        self.queue.suspects_here = False
        self.queue.add('t1')
        for _ in range(SUSPECT_DEATHS):
            self._claim('a')
            self.queue.expire(['a'])
        assert self._claim('a') == []
        [claim] = self._suspects(SUSPECT_DEATHS)
        self.queue.release(claim.lease, Progress(1))
        [claim] = self._claim('a')
        assert claim.deaths == 0

    def test_without_children_a_suspect_is_claimed_when_nothing_else_runs(self) -> None:
        self.queue.add('t1')
        for _ in range(SUSPECT_DEATHS):
            self._claim('a')
            self.queue.expire(['a'])
        self.queue.add('t2')
        assert self._claim('a', running=('t9',)) == []
        assert [claim.lease.task_id for claim in self._claim('a')] == ['t1']
        assert self._claim('a', running=('t1',)) == []
        assert [claim.lease.task_id for claim in self._claim('another')] == ['t2']

    def test_blame_is_an_attempt_and_says_how(self) -> None:
        self.queue.add('t1')
        [claim] = self._claim('a')
        self.queue.blame(claim.lease, 'signal 11 (SIGSEGV)')
        self.queue.expire(['a'])
        [claim] = self._claim('b')
        assert (claim.attempts, claim.deaths) == (1, 1)
        assert claim.last_death == 'signal 11 (SIGSEGV)'

    def test_a_stall_that_is_reported_twice_is_one_attempt(self) -> None:
        self.queue.add('t1')
        [claim] = self._claim('a')
        for _ in range(2):
            self.queue.release(claim.lease, Progress(), stalled=True)
        [claim] = self._claim('b')
        assert (claim.attempts, claim.deaths, claim.predecessor) == (1, 0, 'a')

    def test_progress_begins_the_count_anew(self) -> None:
        self.queue.add('t1')
        self._claim('a')
        self.queue.expire(['a'])
        [claim] = self._claim('a')
        assert claim.deaths == 1
        self.queue.renew('a', {claim.lease: RunReport(Progress(0, 10))}, seconds=30)
        self.queue.expire(['a'])
        [claim] = self._claim('a')
        assert (claim.deaths, claim.best_progress) == (0, Progress(0, 10))

    def test_a_hand_back_is_no_attempt_a_stall_is(self) -> None:
        self.queue.add('t1')
        [claim] = self._claim('a')
        self.queue.release(claim.lease, Progress())
        [claim] = self._claim('a')
        assert claim.attempts == 0
        self.queue.release(claim.lease, Progress(), stalled=True)
        [claim] = self._claim('a')
        assert claim.attempts == 1
