"""How far a run is: the percentage, and what is reported of it."""

import random

import pytest

from glance.domain.lease import Progress
from glance.engine import meter as meters
from glance.engine.active_runs import ActiveRuns
from glance.engine.lease_policy import LeasePolicy
from glance.engine.meter import Meter
from glance.engine.watchdog import Watchdog
from glance.testing.fakes.queue import FakeQueue

WEIGHTS = {'create': 1, 'fetch': 60, 'store': 39}


@pytest.fixture
def meter():
    made = Meter(1, WEIGHTS)
    made.begun_at -= 60
    return made


def test_steps_count_by_their_weight_and_their_bytes(meter):
    assert meter.percent == 0
    meter.begun('create')
    meter.ended(done=True)
    assert meter.percent == 1
    meter.begun('fetch')
    meter.show(0, 200)
    meter.show(100)
    assert meter.percent == 31
    meter.ended(done=True)
    meter.begun('store')
    meter.ended(done=True)
    assert meter.percent == 99  # only the commit makes 100


def test_a_claim_that_begins_anew_does_not_fall_behind_what_was_shown():
    meter = Meter(2, WEIGHTS, 13)
    assert meter.now(Progress()).percent == 13
    meter.begun('create')
    meter.ended(done=True)
    assert meter.percent == 13
    meter.begun('fetch')
    meter.ended(done=True)
    assert meter.percent == 61


def test_finished_steps_of_earlier_claims_count(meter):
    meter.resume(2)
    assert meter.percent == 61


@pytest.mark.parametrize('seed', range(20))
def test_progress_never_falls(meter, seed):
    chance = random.Random(seed)
    before = 0
    for name in WEIGHTS:
        meter.begun(name)
        for _ in range(30):
            meter.show(chance.randrange(0, 300), chance.choice([None, 100, 200, 0]))
            assert before <= meter.percent <= 99
            before = meter.percent
        meter.ended(done=chance.random() < 0.8)


def test_a_source_without_a_size_counts_when_it_is_done(meter):
    meter.begun('fetch')
    meter.show(10**9)
    assert meter.percent == 0
    assert meter.moved()['bytes_done'] == 10**9
    meter.ended(done=True)
    assert meter.percent == 60


def test_the_rate_leaves_out_what_an_earlier_claim_had_moved(meter):
    meter.begun('fetch')
    meter.show(10**9, 2 * 10**9)
    assert meter.moved()['rate'] == 0


def test_only_what_has_changed_is_reported(meter):
    meter.begun('fetch')
    meter.show(0, 100)
    assert [step.name for step in meter.report(Progress()).at_work] == ['fetch']
    assert meter.report(Progress()) is None
    meter.show(10)
    assert meter.report(Progress()).percent == 6
    meter.show(11)
    assert meter.report(Progress()) is None  # the same percent, and it was reported just now
    meter.reported_at -= meters.PERIOD
    assert meter.report(Progress()).at_work[0].bytes_done == 11
    meter.reported_at -= meters.PERIOD
    assert meter.report(Progress()) is None


def test_a_short_run_reports_nothing():
    meter = Meter(1, WEIGHTS)
    meter.begun('fetch')
    meter.show(50, 100)
    assert meter.report(Progress()) is None
    assert meter.now(Progress()).percent == 30


class Renewals(FakeQueue):
    """A queue that keeps what was renewed: task id to percent, or None."""

    def __init__(self):
        super().__init__()
        self.renewed = []

    def renew(self, holder, reports, *, seconds):
        super().renew(holder, reports, seconds=seconds)
        self.renewed.append(
            {lease.task_id: report and report.percent for lease, report in reports.items()}
        )


@pytest.fixture
def watched():
    """A queue, the runs of three tasks that are under way for long, and their watchdog."""
    queue, runs = Renewals(), ActiveRuns()
    for number in range(3):
        queue.add(f't{number}')
    for claim in queue.claim('us', 9, seconds=30, versions={'test': 1}):
        run = runs.begin(claim)
        run.meter = Meter(1, WEIGHTS)
        run.meter.begun_at -= 60
    policy = LeasePolicy(30, stall_timeout=600, max_attempts=3, poll_interval=60)
    return queue, runs, Watchdog(queue, runs, 'us', policy)


def test_leases_of_runs_that_have_nothing_to_report_wait_for_their_turn(watched):
    queue, runs, watch = watched
    first, second, _third = runs
    watch._renew()
    assert queue.renewed == []
    runs.begun(first.claim.lease, 'fetch')
    runs.show(first.claim.lease, 50, 100)
    second.claim.lease.events.tell('step.done', 'create')
    watch._renew()
    assert queue.renewed == [{'t0': 30, 't1': None}]
    assert queue.progress_of('t0')[0] == 30
    assert queue.events_of('t1')[-1].kind == 'step.done'
    watch._renew()
    assert len(queue.renewed) == 1
    watch._renew(everything=True)
    assert queue.renewed[1:] == [{'t0': None, 't1': None, 't2': None}]
