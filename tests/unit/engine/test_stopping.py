"""A stop tells every run, those too that begin at that moment; and what was said stands."""

import threading
import time

import pytest

from glance.domain.lease import Stalled
from glance.engine.conductor import Conductor
from glance.engine.lease_policy import LeasePolicy
from glance.interfaces.executor import FlowRunner
from glance.testing.fakes.flows import Gate, gated_flow
from glance.testing.fakes.queue import FakeQueue


class Slow(FakeQueue):
    """A queue whose claims take until they are let go."""

    def __init__(self):
        super().__init__()
        self.claimed, self.let_go = threading.Event(), threading.Event()

    def claim(self, owner, *args, **options):
        claims = super().claim(owner, *args, **options)
        if claims and owner == 'us':
            self.claimed.set()
            assert self.let_go.wait(20)
        return claims


@pytest.fixture
def queue():
    return Slow()


class UntilStopped(FlowRunner):
    """Runs each flow until it is told to stop."""

    def run_flow(self, flow, claim):
        while True:
            self.runs.raise_if_stopped(claim.lease)
            time.sleep(0.001)


@pytest.fixture
def conductor(queue):
    return claiming(queue)


def claiming(queue, **options):
    """A conductor that is claiming a task."""
    runner = UntilStopped()
    made = Conductor(
        queue,
        {'test': gated_flow(Gate(), queue)},
        'us',
        runner,
        LeasePolicy(lease_time=30, stall_timeout=600, max_attempts=3, poll_interval=60),
        slots=2,
        **options,
    )
    runner.runs = made.runs
    queue.add('t1')
    made.start()
    assert queue.claimed.wait(20)
    return made


def by_another(queue):
    queue.wait_until(lambda: not queue.holders() or queue.expired('t1'), every=0.01)
    [claim] = queue.claim('them', 1, seconds=30, versions={'test': 1})
    return claim


def test_what_is_being_claimed_at_a_stop_is_handed_back(queue, conductor):
    stopping = threading.Thread(target=conductor.stop, args=(0,))
    stopping.start()
    queue.let_go.set()
    stopping.join(20)
    assert not stopping.is_alive()
    assert not len(conductor.runs)
    assert by_another(queue).attempts == 0


def test_what_is_claimed_after_the_stop_has_waited_is_released(queue, caplog):
    claiming(queue, stop_timeout=0).stop(0)
    queue.let_go.set()
    claim = by_another(queue)
    assert (claim.attempts, claim.deaths) == (0, 0)
    assert 'Claiming waiting tasks failed' not in caplog.text


def test_a_stop_does_not_make_a_standstill_a_hand_back(queue, conductor):
    queue.let_go.set()
    queue.wait_until(lambda: len(conductor.runs) == 1, every=0.01)
    [run] = conductor.runs
    run.stop = Stalled()
    conductor.stop(0)
    assert by_another(queue).attempts == 1
