"""While many tasks are submitted at once, few runs begin."""

import math
import time

import pytest

from glance.engine.active_runs import ActiveRuns
from glance.engine.burst import CLAIM_BATCH_IN_BURST, BurstThrottle
from glance.engine.claimer import Claimer
from glance.engine.lease_policy import LeasePolicy


class Queue:
    """Remembers how many entries were asked for; there are none."""

    def __init__(self):
        self.limits = []

    def claim(self, _owner, limit, **_others):
        self.limits.append(limit)
        return []

    def __getattr__(self, name):
        return lambda *_args, **_options: []


@pytest.fixture
def queue():
    return Queue()


@pytest.fixture
def throttle():
    return BurstThrottle()


@pytest.fixture
def room():
    return math.inf


@pytest.fixture
def claiming(queue, throttle, room):
    made = Claimer(
        queue,
        ActiveRuns(),
        'me',
        LeasePolicy(lease_time=30, stall_timeout=600, max_attempts=3, poll_interval=60),
        versions={},
        run=None,
        slots=16,
        most_busy=16,
        is_blocked=lambda: False,
        room=lambda: room,
        throttle=throttle,
    )
    made.start()
    yield made
    made.stop(5)
    made.close()


def wait_for(true):
    until = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until
        time.sleep(0.001)


def test_one_post_is_claimed_with_all_slots(claiming, queue):
    wait_for(lambda: len(queue.limits) == 1)
    claiming.wake()
    wait_for(lambda: len(queue.limits) == 2)
    assert queue.limits == [16, 16]


def test_in_a_burst_few_are_claimed_and_after_it_all(claiming, queue, throttle):
    def post_until_few_begin():
        claiming.wake()
        return CLAIM_BATCH_IN_BURST in queue.limits

    wait_for(post_until_few_begin)
    queue.limits.clear()
    wait_for(lambda: not throttle.is_burst())
    claiming.wake()
    wait_for(lambda: 16 in queue.limits)


@pytest.mark.parametrize('throttle', [BurstThrottle(limit=0.5)])
def test_a_burst_that_lasts_no_longer_slows_down_the_runs(claiming, queue):
    def post_until(limit):
        claiming.wake()
        return limit in queue.limits

    wait_for(lambda: post_until(CLAIM_BATCH_IN_BURST))
    queue.limits.clear()
    wait_for(lambda: post_until(16))


@pytest.mark.parametrize('room', [3])
def test_no_more_is_claimed_than_the_executor_takes(claiming, queue):
    wait_for(lambda: len(queue.limits) == 1)
    assert queue.limits == [3]
