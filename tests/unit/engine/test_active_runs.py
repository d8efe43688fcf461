"""What runs report, and what they hear."""

import threading

import pytest

from glance import threads
from glance.domain import errors
from glance.domain.entry import Claim
from glance.domain.lease import DatabaseGone, HandBack, Lease, LostLease, Progress, Stalled
from glance.engine.active_runs import ActiveRuns
from glance.testing.observed_queue import PATIENCE


def a_claim(best_progress=Progress(), cancel_requested=False, number=2):
    return Claim(
        Lease('t1', number), 'import', 1, {}, 0, best_progress, None, '', cancel_requested
    )


def test_the_furthest_point_never_goes_back():
    runs = ActiveRuns()
    run = runs.begin(a_claim(best_progress=Progress(1, 500)))
    runs.progress(run.claim.lease, 900)
    assert run.best_progress == Progress(1, 500)
    runs.done(run.claim.lease)
    assert run.best_progress == Progress(1, 500)
    runs.progress(run.claim.lease, 501)
    assert run.best_progress == Progress(1, 501)


def test_a_told_run_hears_it_at_its_next_look():
    runs = ActiveRuns()
    run = runs.begin(a_claim())
    runs.raise_if_stopped(run.claim.lease)
    run.stop = HandBack()
    with pytest.raises(HandBack):
        runs.progress(run.claim.lease, 1)


def break_when_cancelled(runs, run, error):
    """A step that is cancelled while it does not wait, and fails then."""
    with runs.at_work(run.claim.lease):
        runs.cancel(run)
        raise error


@pytest.mark.parametrize('raised', [OSError(), DatabaseGone()])
def test_what_comes_of_an_interrupt_is_what_it_was_for(raised):
    runs = ActiveRuns()
    run = runs.begin(a_claim())
    with pytest.raises(errors.Cancelled):
        break_when_cancelled(runs, run, raised)


def test_a_cancelled_run_does_not_stand_in_line_to_begin_or_undo_a_step():
    runs = ActiveRuns(max_workers=1)
    run, other = runs.begin(a_claim()), runs.begin(a_claim(number=3))
    begun, over = threading.Event(), threading.Event()

    def work():
        with runs.at_work(other.claim.lease):
            begun.set()
            over.wait(PATIENCE)

    threading.Thread(target=work, daemon=True).start()
    assert begun.wait(PATIENCE)
    runs.cancel(run)
    with pytest.raises(errors.Cancelled), runs.at_work(run.claim.lease):
        pytest.fail('a step began')
    with runs.at_work(run.claim.lease, undoing=True):
        assert runs.is_full
    over.set()


def test_a_lost_lease_is_one_though_its_task_is_cancelled():
    runs = ActiveRuns()
    run = runs.begin(a_claim())
    with pytest.raises(LostLease):
        break_when_cancelled(runs, run, LostLease())


def test_a_cancelled_or_failing_run_undoes_and_removes_to_the_end():
    runs = ActiveRuns()
    run = runs.begin(a_claim(cancel_requested=True))
    lease = run.claim.lease
    with runs.at_work(lease, undoing=True):
        runs.progress(lease)
    run.removing = True
    runs.progress(lease)
    run.stop = HandBack()
    with pytest.raises(HandBack):
        runs.progress(lease)


def test_a_run_whose_step_is_at_a_worker_waits():
    runs = ActiveRuns()
    run, _ = runs.begin(a_claim()), runs.begin(a_claim(number=3))
    assert runs.not_waiting() == 2
    run.elsewhere.add('step')
    assert runs.not_waiting() == 1
    run.elsewhere.discard('step')
    assert runs.not_waiting() == 2


def test_a_cancelled_run_fails():
    runs = ActiveRuns()
    run = runs.begin(a_claim(cancel_requested=True))
    with pytest.raises(errors.Cancelled):
        runs.raise_if_stopped(run.claim.lease)


def test_a_run_that_is_no_more_has_lost_its_lease():
    runs = ActiveRuns()
    run = runs.begin(a_claim())
    runs.end(run.claim.lease)
    with pytest.raises(LostLease):
        runs.progress(run.claim.lease)


def test_a_stalled_task_may_be_claimed_again_by_its_own_process():
    runs = ActiveRuns()
    run = runs.begin(a_claim())
    assert runs.task_ids() == {'t1'}
    run.stop = Stalled()
    assert runs.task_ids() == set()


@pytest.fixture
def hanging():
    """hanging(run, end): a thread at work in a run that hangs, and ends as the test says."""
    release = threading.Event()
    begun = []

    def begin(runs, run, end):
        entered = threading.Event()
        raised = []

        def work():
            try:
                with runs.at_work(run.claim.lease):
                    entered.set()
                    end(release.wait)
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        begun.append(thread)
        assert entered.wait(10)
        return thread, raised

    yield begin
    release.set()
    for thread in begun:
        thread.join(10)


def hears(wait):
    wait()


def makes_it_an_error_of_its_own(wait):
    try:
        wait()
    except BaseException as error:
        raise ValueError('the connection is broken') from error


def swallows_it(wait):
    try:
        wait()
    except BaseException:
        pass


@pytest.mark.green
@pytest.mark.parametrize('end', [hears, makes_it_an_error_of_its_own, swallows_it])
def test_a_step_that_is_interrupted_drops_its_run_however_it_ends(hanging, end):
    runs = ActiveRuns()
    run = runs.begin(a_claim())
    thread, raised = hanging(runs, run, end)
    run.stop = Stalled()
    assert (runs.busy(), runs.stuck()) == (1, 1)
    assert runs.interrupt(run, Stalled)
    thread.join(10)
    assert [type(error) for error in raised] == [Stalled]
    assert (runs.busy(), runs.stuck()) == (0, 0)


@pytest.mark.green
def test_all_threads_of_a_run_are_interrupted_and_no_other(hanging):
    runs = ActiveRuns()
    run, other = runs.begin(a_claim()), runs.begin(a_claim(number=3))
    siblings = [hanging(runs, run, hears) for _ in range(2)]
    hanging(runs, other, hears)
    assert runs.interrupt(run, Stalled)
    for thread, raised in siblings:
        thread.join(10)
        assert [type(error) for error in raised] == [Stalled]
    assert runs.busy() == 1


@pytest.mark.skipif(threads.is_green(), reason='green threads are interrupted at once')
def test_what_could_not_be_interrupted_drops_its_run_when_it_comes_back():
    runs = ActiveRuns()
    run = runs.begin(a_claim())
    with pytest.raises(Stalled), runs.at_work(run.claim.lease):
        assert not runs.interrupt(run, Stalled)


def test_nothing_at_work_is_nothing_interrupted():
    runs = ActiveRuns()
    assert not runs.interrupt(runs.begin(a_claim()), Stalled)


def test_a_drop_of_another_kind_stands():
    runs = ActiveRuns()
    run = runs.begin(a_claim())

    def lose_it():
        with runs.at_work(run.claim.lease):
            runs.interrupt(run, Stalled)  # oneself: to be raised at the end
            raise LostLease('t1.2')

    with pytest.raises(LostLease):
        lose_it()
