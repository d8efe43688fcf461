"""When children for suspects are started, and what their deaths say.

Of the processes of a host one starts a child, not each of them. A child that lives on holds
up no other suspects.
"""

import signal
import threading

import pytest

from glance.domain.events import Kind
from glance.domain.suspects import SUSPECT_DEATHS, SuspectGroup
from glance.engine.child_process import ChildProcesses
from glance.engine.suspect_runner import (
    ALONE_TIME,
    CHILD_INTERVAL,
    INTERVAL,
    MOST_CHILDREN,
    SuspectRunner,
)
from glance.testing.fakes.queue import FakeQueue
from glance.testing.observed_queue import PATIENCE


class Child:
    """A child that lives until it is killed, and claims when the test does so for it."""

    pid = 1
    status = None

    def __init__(self, holder='child'):
        self.holder = holder
        self.looks = 0

    def poll(self):
        self.looks += 1
        return self.status

    def send_signal(self, number):
        self.status = -number

    def close(self):
        pass


class Children(ChildProcesses):
    """looked is set whenever the turn of another process was respected.

    made    the children, in order
    claims  claims(child, group): what each child claims at once
    """

    def __init__(self, folder, claims=None):
        super().__init__(folder, [])
        self.started = threading.Event()
        self.looked = threading.Event()
        self.made = []
        self._claims = claims

    def turn(self):
        self.looked.set()
        return super().turn()

    def start(self, group):
        self.started.set()
        if self._claims is None:
            return Child()
        child = Child(f'child-{len(self.made)}')
        self._claims(child, group)
        self.made.append(child)
        return child


def add_suspect(queue, task_id):
    queue.add(task_id)
    for _ in range(SUSPECT_DEATHS):
        assert queue.claim('dead', 1, seconds=30, versions={'test': 1})
        queue.expire(['dead'])
    assert queue.claim('other', 1, seconds=30, versions={'test': 1}) == []  # counts the last death


@pytest.fixture
def queue():
    """A queue with one suspect, for a child."""
    made = FakeQueue()
    made.suspects_here = False
    add_suspect(made, 't1')
    return made


@pytest.fixture
def run(queue, tmp_path):
    """run(): the Children of one more process of this host, which claim at once if told to."""
    runners = []

    def take(child, group):
        queue.claim(child.holder, group.size, seconds=600, versions={'test': 1}, suspects=group)

    def begin(*, claiming=False, alone_time=ALONE_TIME):
        children = Children(tmp_path, take if claiming else None)
        children.runner = SuspectRunner(queue, children, alone_time=alone_time)
        runners.append(children.runner)
        children.runner.start()
        return children

    yield begin
    for runner in runners:
        runner.stop(0)


def test_while_one_process_starts_a_child_no_other_does(queue, run):
    first = run()
    assert first.started.wait(PATIENCE)
    second = run()
    for _ in range(2):  # it has done with a look when it looks again
        assert second.looked.wait(PATIENCE)
        second.looked.clear()
    assert second.looked.wait(PATIENCE)
    assert not second.started.is_set()


def test_a_child_that_a_reload_ended_was_not_ended_by_its_task(queue, run, caplog):
    first = run()
    assert first.started.wait(PATIENCE)
    group = SuspectGroup(*queue.suspects()[0])
    assert queue.claim('child', 1, seconds=30, versions={'test': 1}, suspects=group)
    first.started.clear()
    first.runner.reload()
    queue.expire(['child'])
    assert queue.claim('other', 1, seconds=30, versions={'test': 1}) == []
    assert first.started.wait(PATIENCE)  # the next child
    assert 'was ended by' not in caplog.text


def test_once_the_child_has_claimed_others_may_start_one(queue, run):
    first = run()
    assert first.started.wait(PATIENCE)
    group = SuspectGroup(*queue.suspects()[0])
    assert queue.claim('child', 1, seconds=30, versions={'test': 1}, suspects=group)
    add_suspect(queue, 't2')
    assert run().started.wait(PATIENCE)


def seconds_pass(queue, child):
    """Wait until its parent has looked at a child so often that it has looked for suspects too."""
    enough = child.looks + 3 * INTERVAL / CHILD_INTERVAL
    queue.wait_until(lambda: child.looks > enough, every=CHILD_INTERVAL)


def test_the_next_child_is_started_beside_one_that_lives_on(queue, run):
    made = run(claiming=True, alone_time=0).made
    for number in range(MOST_CHILDREN):
        queue.wait_until(lambda number=number: len(made) == number + 1)
        add_suspect(queue, f'more-{number}')
    assert [len(queue.held(child.holder)) for child in made] == [1] * MOST_CHILDREN
    seconds_pass(queue, made[-1])
    assert len(made) == MOST_CHILDREN  # and no more at a time


def test_the_death_of_one_child_is_not_blamed_on_the_task_of_another(queue, run):
    made = run(claiming=True, alone_time=0).made
    queue.wait_until(lambda: len(made) == 1)
    add_suspect(queue, 't2')
    queue.wait_until(lambda: len(made) == 2)
    made[1].status = -signal.SIGSEGV
    queue.wait_until(lambda: queue.events_of('t2')[-1].kind == Kind.BLAMED)
    assert Kind.BLAMED not in [event.kind for event in queue.events_of('t1')]


def test_no_child_is_started_beside_one_that_has_just_begun(queue, run):
    made = run(claiming=True).made
    queue.wait_until(lambda: len(made) == 1)
    add_suspect(queue, 't2')
    seconds_pass(queue, made[0])
    assert len(made) == 1
    made[0].send_signal(signal.SIGTERM)
    queue.wait_until(lambda: len(made) == 2)
