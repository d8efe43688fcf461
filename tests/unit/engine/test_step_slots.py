"""How many steps are at work, who waits for a slot, and what a step that waits leaves free."""

import contextlib
import threading

import pytest

from glance.domain.lease import HandBack, Stalled
from glance.engine.active_runs import ActiveRuns
from glance.testing.fakes.queue import FakeQueue


def claims(*task_ids):
    queue = FakeQueue()
    for task_id in task_ids:
        queue.add(task_id)
    return queue.claim('us', 9, seconds=30, versions={'test': 1})


class Step:
    """A step in a thread of its own: at work, or waiting for its source, as the test says."""

    def __init__(self, runs, lease):
        self._runs = runs
        self._lease = lease
        self._orders = []
        self._told = threading.Semaphore(0)
        self._heard = threading.Semaphore(0)
        self.begun = threading.Event()
        self.raised = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        try:
            with self._runs.at_work(self._lease), contextlib.ExitStack() as waits:
                waiting = self._runs.waiting(self._lease)
                self.begun.set()
                while self._told.acquire(timeout=20):
                    order = self._orders.pop(0)
                    if order == 'end':
                        return
                    if order == 'wait':
                        waits.enter_context(waiting)
                    else:
                        waits.close()
                    self._heard.release()
        except BaseException as error:
            self.raised = error
        finally:
            self._heard.release()

    def tell(self, order):
        self._orders.append(order)
        self._told.release()
        assert self._heard.acquire(timeout=20)

    def end(self):
        self.tell('end')
        self.join()

    def join(self):
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def begin():
    """begin(runs, lease): a Step; all have ended after the test."""
    begun = []

    def make(runs, claim):
        begun.append(Step(runs, claim.lease))
        return begun[-1]

    yield make
    for step in begun:
        step._orders.append('end')
        step._told.release()
    for step in begun:
        step.join()


def test_a_step_that_waits_for_its_source_leaves_its_slot(begin):
    runs = ActiveRuns(max_workers=1)
    one, two = (runs.begin(claim).claim for claim in claims('t1', 't2'))
    first = begin(runs, one)
    assert first.begun.wait(20)
    assert runs.is_full
    second = begin(runs, two)
    assert not second.begun.is_set()
    first.tell('wait')
    assert second.begun.wait(20)
    assert runs.is_full
    assert runs.not_waiting() == 1
    second.tell('wait')
    assert not runs.is_full
    assert runs.not_waiting() == 0
    first.tell('work')  # without a slot: it has begun
    second.tell('work')
    assert runs.not_waiting() == 2
    first.end()
    assert runs.is_full
    second.end()
    assert not runs.is_full


def test_those_in_the_line_have_their_turn_in_order(begin):
    runs = ActiveRuns(max_workers=1)
    steps = []
    for claim in claims('t1', 't2', 't3'):
        runs.begin(claim)
        steps.append(begin(runs, claim))
        while not steps[0].begun.is_set() or len(runs._slots._line) < len(steps) - 1:
            pass_time()
    for step, *later in (steps, steps[1:], steps[2:]):
        assert step.begun.wait(20)
        assert not any(other.begun.is_set() for other in later)
        step.end()


def pass_time():
    threading.Event().wait(0.001)


def test_who_is_told_to_stop_leaves_the_line(begin):
    runs = ActiveRuns(max_workers=1)
    one, two, three = (runs.begin(claim) for claim in claims('t1', 't2', 't3'))
    first = begin(runs, one.claim)
    assert first.begun.wait(20)
    second = begin(runs, two.claim)
    two.stop = HandBack()
    second.join()
    assert isinstance(second.raised, HandBack)
    third = begin(runs, three.claim)
    first.end()
    assert third.begun.wait(20)


def test_who_is_told_to_stop_just_before_its_turn_does_not_begin(begin):
    runs = ActiveRuns(max_workers=1)
    one, two, three = (runs.begin(claim) for claim in claims('t1', 't2', 't3'))
    first = begin(runs, one.claim)
    assert first.begun.wait(20)
    second = begin(runs, two.claim)
    while not runs._slots._line:
        pass_time()
    two.stop = HandBack()
    first.end()
    second.join()
    assert isinstance(second.raised, HandBack)
    assert not second.begun.is_set()
    third = begin(runs, three.claim)  # the slot is free
    assert third.begun.wait(20)


@pytest.mark.green
def test_a_step_that_waits_for_its_source_hears_at_once_that_it_should_stop(begin):
    runs = ActiveRuns(max_workers=1)
    one, two = (runs.begin(claim) for claim in claims('t1', 't2'))
    waits = begin(runs, one.claim)
    assert waits.begun.wait(20)
    waits.tell('wait')
    works = begin(runs, two.claim)
    assert works.begun.wait(20)
    for run in (one, two):
        run.stop = HandBack()
        runs.wake(run)
    waits.join()
    assert isinstance(waits.raised, HandBack)
    assert not runs._slots._waiting
    works.end()
    assert works.raised is None  # it hears it when it next asks
    assert not runs.is_full


def test_a_step_that_waits_is_not_stuck_and_one_at_work_is(begin):
    runs = ActiveRuns(max_workers=1)
    [claim] = claims('t1')
    run = runs.begin(claim)
    step = begin(runs, claim)
    assert step.begun.wait(20)
    run.stop = Stalled()
    assert (runs.stuck(), runs.is_blocked()) == (1, True)
    step.tell('wait')
    assert (runs.stuck(), runs.is_blocked()) == (0, False)


def test_what_a_run_removes_takes_no_slot():
    runs = ActiveRuns(max_workers=1)
    one, two = (runs.begin(claim) for claim in claims('t1', 't2'))
    one.removing = True
    with runs.at_work(one.claim.lease):
        assert not runs.is_full
        with runs.at_work(two.claim.lease):  # or it would wait for ever
            assert runs.is_full


def test_outside_of_a_step_nothing_waits():
    runs = ActiveRuns(max_workers=1)
    run = runs.begin(claims('t1')[0])
    with runs.waiting(run.claim.lease):
        assert runs.not_waiting() == 1
    assert not runs.is_full
