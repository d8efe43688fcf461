"""While tasks are posted faster than they can be run, few begin."""

import time

import pytest

from glance.engine import conductor


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
def claiming(queue):
    made = conductor.Conductor(
        queue,
        {},
        'me',
        run=None,
        recall=None,
        forget=None,
        slots=16,
        lease_time=30,
        poll_interval=60,
        max_attempts=3,
        stall_timeout=600,
    )
    made.start()
    yield made
    made.stop(0)


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


def test_in_a_crowd_few_are_claimed_and_after_it_all(claiming, queue):
    def post_until_few_begin():
        claiming.wake()
        return conductor.FEW in queue.limits

    wait_for(post_until_few_begin)
    queue.limits.clear()
    wait_for(lambda: not claiming._is_crowded())
    claiming.wake()
    wait_for(lambda: 16 in queue.limits)


def test_a_crowd_that_lasts_shares_with_the_runs(claiming, queue, monkeypatch):
    monkeypatch.setattr(conductor, 'CROWD_LASTS', 0.5)

    def post_until(limit):
        claiming.wake()
        return limit in queue.limits

    wait_for(lambda: post_until(conductor.FEW))
    queue.limits.clear()
    wait_for(lambda: post_until(16))
