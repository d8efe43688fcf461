"""Which runs are given up, and what becomes of those that only wait."""

import threading

import pytest

from glance import interrupts, threads
from glance.domain import errors
from glance.domain.lease import CancelIgnored, NoFreeThread, Stalled
from glance.engine.active_runs import ActiveRuns
from glance.engine.cancelling import CANCEL_TIMEOUT
from glance.engine.lease_policy import LeasePolicy
from glance.engine.watchdog import Watchdog
from glance.testing.fakes.queue import FakeQueue
from glance.testing.observed_queue import PATIENCE


class Watched:
    """Claimed tasks that made their last progress long ago."""

    def __init__(self, *task_ids, step_threads, lease_time=30):
        self.queue, self.runs = FakeQueue(), ActiveRuns()
        for task_id in task_ids:
            self.queue.add(task_id)
        for claim in self.queue.claim('us', 9, seconds=30, versions={'test': 1}):
            self.runs.begin(claim)
        self.watch = Watchdog(
            self.queue,
            self.runs,
            'us',
            LeasePolicy(lease_time, stall_timeout=10, max_attempts=3, poll_interval=60),
            step_threads=step_threads,
        )

    def let_time_pass(self):
        for run in self.runs:
            run.progress_at -= 60

    def look(self):
        self.watch._give_up_hung()
        self.watch._renew()
        return {run.claim.lease.task_id: type(run.stop) for run in self.runs}


NOTHING = type(None)


def test_a_run_without_progress_is_given_up_and_its_entry_given_back():
    watched = Watched('t1', step_threads=None)
    assert watched.look() == {'t1': NOTHING}
    watched.let_time_pass()
    assert watched.look() == {'t1': Stalled}
    [claim] = watched.queue.claim('them', 1, seconds=30, versions={'test': 1})
    assert claim.attempts == 1


def test_waiting_for_a_worker_is_no_standstill():
    watched = Watched('t1', 't2', step_threads=1)
    at_work, waits = watched.runs
    with watched.runs.at_work(at_work.claim.lease):
        waits.progress_at -= 60
        assert watched.look() == {'t1': NOTHING, 't2': NOTHING}


def test_what_waits_while_there_are_workers_stands_still():
    watched = Watched('t1', 't2', step_threads=2)
    at_work, waits = watched.runs
    with watched.runs.at_work(at_work.claim.lease):
        waits.progress_at -= 60
        assert watched.look() == {'t1': NOTHING, 't2': Stalled}


def test_what_waits_for_workers_that_are_stuck_is_handed_back_and_no_attempt():
    watched = Watched('t1', 't2', step_threads=1)
    hangs, _waits = watched.runs

    def hang():
        with watched.runs.at_work(hangs.claim.lease):
            hangs.progress_at -= 60
            assert watched.look() == {'t1': Stalled, 't2': NoFreeThread}
            assert watched.watch.is_blocked()
            claims = watched.queue.claim('them', 2, seconds=30, versions={'test': 1})
            assert {one.lease.task_id: one.attempts for one in claims} == {'t1': 1, 't2': 0}

    with pytest.raises(Stalled):
        hang()
    assert not watched.watch.is_blocked()


def test_a_run_that_removes_what_it_left_takes_no_worker():
    watched = Watched('t1', 't2', step_threads=1)
    removes, waits = watched.runs
    removes.removing = True
    with watched.runs.at_work(removes.claim.lease):
        waits.progress_at -= 60
        assert watched.look() == {'t1': NOTHING, 't2': Stalled}
        removes.stop = Stalled()
        assert not watched.watch.is_blocked()


def test_a_run_without_attempts_left_keeps_its_lease():
    watched = Watched('t1', step_threads=None)
    [run] = watched.runs
    run.spent = True
    watched.let_time_pass()
    assert watched.look() == {'t1': NOTHING}
    assert [held.lease for held in watched.queue.held('us')] == [run.claim.lease]


@pytest.mark.parametrize('steps', [0, 1])
def test_progress_that_a_later_claim_can_use_is_noted_before_the_next_renewal(steps):
    """A life shorter than that must not count as one without progress."""
    watched = Watched('t1', step_threads=None, lease_time=3600)
    [run] = watched.runs
    watched.watch.start()
    try:
        for _ in range(steps):
            watched.runs.done(run.claim.lease)
        watched.runs.progress(run.claim.lease, 1)
        watched.watch.look()
        watched.queue.wait_until(
            lambda: watched.queue.best_progress('t1') == run.best_progress, every=0.01
        )
    finally:
        watched.watch.stop(5)


class TestCancel:
    """What a run does that is told of its cancel."""

    def run_of(self, watched):
        [run] = watched.runs
        assert watched.queue.cancel('t1')
        return run

    def notice(self, watched, run, *, seconds=0.0):
        """Look for cancels, so many seconds after the run was told of its own."""
        if run.told_at is not None:
            run.told_at -= seconds
        watched.watch._notice_cancels()

    def test_a_run_that_looks_by_itself_fails(self):
        watched = Watched('t1', step_threads=None)
        run = self.run_of(watched)
        self.notice(watched, run)
        with pytest.raises(errors.Cancelled):
            watched.runs.raise_if_stopped(run.claim.lease)
        with pytest.raises(errors.Cancelled), watched.runs.at_work(run.claim.lease):
            pytest.fail('a step began')

    def test_a_step_that_goes_on_is_dropped_and_its_entry_given_back(self):
        watched = Watched('t1', step_threads=None)
        run = self.run_of(watched)

        def go_on():
            with watched.runs.at_work(run.claim.lease):
                self.notice(watched, run)
                self.notice(watched, run, seconds=CANCEL_TIMEOUT / 2)
                assert run.stop is None
                self.notice(watched, run, seconds=CANCEL_TIMEOUT)
                [claim] = watched.queue.claim('them', 1, seconds=30, versions={'test': 1})
                assert claim.cancel_requested

        with pytest.raises(CancelIgnored):
            go_on()

    def test_an_undo_takes_as_long_as_it_takes(self):
        watched = Watched('t1', step_threads=None)
        run = self.run_of(watched)
        with watched.runs.at_work(run.claim.lease, undoing=True):
            for _ in range(3):
                self.notice(watched, run, seconds=CANCEL_TIMEOUT)
        assert run.stop is None
        assert watched.queue.held('us')

    def test_a_step_that_waits_is_interrupted_and_an_undo_is_not(self):
        watched = Watched('t1', step_threads=None)
        run = self.run_of(watched)
        over, interrupted = threading.Event(), []

        def wait(undoing):
            try:
                with watched.runs.at_work(run.claim.lease, undoing=undoing):
                    while not over.is_set():
                        interrupts.sleep(0.01 if undoing else PATIENCE)
            except errors.Cancelled:
                interrupted.append(undoing)

        pool = threads.pool(2)
        waits = [pool.submit(wait, undoing) for undoing in (True, False)]
        watched.queue.wait_until(lambda: len(run.at_work) == 2, every=0.01)
        self.notice(watched, run)
        waits[1].result(PATIENCE)
        self.notice(watched, run, seconds=CANCEL_TIMEOUT)
        assert (interrupted, waits[0].done()) == ([False], False)
        over.set()
        waits[0].result(PATIENCE)
        assert (interrupted, run.stop) == ([False], None)
