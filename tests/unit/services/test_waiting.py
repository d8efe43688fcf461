"""Requests that wait for the end of a task: one look a second for all, and none is forgotten."""

import threading
import time

import pytest

from glance.domain import errors
from glance.domain.task import Status, Task
from glance.services.waiting import Waiting
from glance.testing.observed_queue import PATIENCE

from ..api.conftest import AT

NEVER = 3600.0


def stays():
    return False


class Repository:
    """Tasks that have ended, and what was asked for."""

    def __init__(self):
        self.tasks = {}
        self.asked = []
        self.looked = threading.Semaphore(0)
        self.error = None

    def end(self, task_id):
        self.tasks[task_id] = Task(task_id, 'test', 'us', {}, AT, AT, status=Status.SUCCESS)

    def ended(self, ids):
        self.asked.append(sorted(ids))
        self.looked.release()
        if self.error:
            raise self.error
        return [self.tasks[task_id] for task_id in ids if task_id in self.tasks]


class Waiter(threading.Thread):
    """A request that waits; it has its place when the constructor returns."""

    def __init__(self, waiting, task_id, seconds=NEVER, is_gone=stays):
        super().__init__(daemon=True)
        self.result = self.error = None
        self._asks = waiting, task_id, seconds, is_gone
        self._placed = threading.Event()
        self.start()
        assert self._placed.wait(PATIENCE)

    def run(self):
        waiting, task_id, seconds, is_gone = self._asks
        with waiting.place(task_id, is_gone) as place:
            self.placed = place is not None
            self._placed.set()
            if self.placed:
                try:
                    self.result = place.wait(seconds)
                except BaseException as error:
                    self.error = error

    def answered(self):
        self.join(PATIENCE)
        assert not self.is_alive()
        return self.result


@pytest.fixture
def repository():
    return Repository()


@pytest.fixture
def make(repository):
    made = []

    def make(most=100, interval=NEVER):
        made.append(Waiting(repository, most=most, interval=interval))
        return made[-1]

    yield make
    for waiting in made:
        waiting.stop()


def test_one_look_serves_all_who_wait(make, repository):
    waiting = make(interval=0.05)
    waiters = [Waiter(waiting, f't{number % 3}') for number in range(30)]
    repository.asked.clear()
    repository.end('t0')
    assert {waiter.answered().id for waiter in waiters[::3]} == {'t0'}
    assert repository.asked[0] == ['t0', 't1', 't2']
    assert waiters[1].is_alive()
    assert waiters[2].is_alive()
    assert repository.looked.acquire(timeout=PATIENCE)


def test_an_end_in_this_process_is_heard_at_once(make, repository):
    waiting = make()
    first, second, other = (Waiter(waiting, task_id) for task_id in ('t1', 't1', 't2'))
    repository.end('t1')
    waiting.tell('t1')
    assert first.answered() is second.answered() is repository.tasks['t1']
    assert other.is_alive()
    assert repository.asked == [['t1']]


def test_nobody_reads_for_an_end_for_which_nobody_waits(make, repository):
    waiting = make()
    waiter = Waiter(waiting, 't1')
    waiting.tell('t9')
    repository.end('t1')
    waiting.tell('t1')
    waiter.answered()
    assert repository.asked == [['t1']]


def test_a_wait_is_over_after_its_time(make):
    assert Waiter(make(), 't1', seconds=0.01).answered() is None


def test_no_more_wait_than_may_and_a_place_is_free_again(make, repository):
    waiting = make(most=2)
    waiters = [Waiter(waiting, 't1'), Waiter(waiting, 't2')]
    refused = Waiter(waiting, 't1')
    assert refused.answered() is None
    assert not refused.placed
    repository.end('t1')
    waiting.tell('t1')
    waiters[0].answered()
    assert Waiter(waiting, 't3').placed


def test_a_client_that_hangs_up_frees_its_place(make):
    waiting = make(most=1, interval=0.01)
    gone = threading.Event()
    waiter = Waiter(waiting, 't1', is_gone=gone.is_set)
    gone.set()
    assert waiter.answered() is None
    assert Waiter(waiting, 't1').placed


def test_all_are_answered_at_the_stop_and_nobody_waits_afterwards(make, repository):
    waiting = make()
    waiters = [Waiter(waiting, f't{number}') for number in range(20)]
    waiting.stop()
    assert {waiter.answered() for waiter in waiters} == {None}
    assert not Waiter(waiting, 't1').placed
    assert repository.asked == []


@pytest.mark.parametrize('error', [errors.DatabaseUnavailable(), ValueError('broken')])
def test_what_a_look_raises_all_who_wait_raise(make, repository, error):
    waiting = make(interval=0.01)
    repository.error = error
    waiter = Waiter(waiting, 't1')
    waiter.answered()
    assert waiter.error is error
    repository.error = None
    again = Waiter(waiting, 't1')
    repository.end('t1')
    assert again.answered().id == 't1'


def test_the_thread_that_looks_lives_as_long_as_somebody_waits(make):
    def looking():
        return [thread for thread in threading.enumerate() if thread.name == 'wait']

    waiting = make(interval=0.01)
    before = set(looking())
    Waiter(waiting, 't1', seconds=0.01).answered()
    until = time.monotonic() + PATIENCE
    while set(looking()) - before:
        assert time.monotonic() < until
        time.sleep(0.001)
    waiter = Waiter(waiting, 't1')
    assert len(set(looking()) - before) == 1
    assert waiter.is_alive()
