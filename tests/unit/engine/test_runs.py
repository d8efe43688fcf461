"""What runs report, and what they hear."""

import pytest

from glance.domain import errors
from glance.domain.entry import Claim
from glance.domain.lease import HandBack, Lease, LostLease, Point, Stalled
from glance.engine.runs import LiveRuns


def a_claim(furthest=Point(), cancel_requested=False):
    return Claim(Lease('t1', 2), 'import', 1, {}, 0, furthest, None, '', cancel_requested)


def test_the_furthest_point_never_goes_back():
    runs = LiveRuns()
    run = runs.begin(a_claim(furthest=Point(1, 500)))
    runs.progress(run.claim.lease, 900)
    assert run.furthest == Point(1, 500)
    runs.done(run.claim.lease)
    assert run.furthest == Point(1, 500)
    runs.progress(run.claim.lease, 501)
    assert run.furthest == Point(1, 501)


def test_a_told_run_hears_it_at_its_next_look():
    runs = LiveRuns()
    run = runs.begin(a_claim())
    runs.check(run.claim.lease)
    run.stop = HandBack()
    with pytest.raises(HandBack):
        runs.progress(run.claim.lease, 1)


def test_a_cancelled_run_fails():
    runs = LiveRuns()
    run = runs.begin(a_claim(cancel_requested=True))
    with pytest.raises(errors.Cancelled):
        runs.check(run.claim.lease)


def test_a_run_that_is_no_more_has_lost_its_lease():
    runs = LiveRuns()
    run = runs.begin(a_claim())
    runs.end(run.claim.lease)
    with pytest.raises(LostLease):
        runs.progress(run.claim.lease)


def test_a_stalled_task_may_be_claimed_again_by_its_own_process():
    runs = LiveRuns()
    run = runs.begin(a_claim())
    assert runs.task_ids() == {'t1'}
    run.stop = Stalled()
    assert runs.task_ids() == set()
