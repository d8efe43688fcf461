"""Of the processes of a host one starts a child for suspects, not each of them."""

import threading

import pytest

from glance.domain.suspects import SUSPECT_DEATHS, SuspectGroup
from glance.engine.child_process import ChildProcesses
from glance.engine.suspect_runner import SuspectRunner
from glance.testing.fakes.queue import FakeQueue
from glance.testing.observed_queue import PATIENCE


class Child:
    """A child that lives until it is killed, and claims when the test does so for it."""

    pid = 1
    holder = 'child'
    status = None

    def poll(self):
        return self.status

    def send_signal(self, number):
        self.status = -number

    def close(self):
        pass


class Children(ChildProcesses):
    """looked is set whenever the turn of another process was respected."""

    def __init__(self, folder):
        super().__init__(folder, [])
        self.started = threading.Event()
        self.looked = threading.Event()

    def turn(self):
        self.looked.set()
        return super().turn()

    def start(self, group):
        self.started.set()
        return Child()


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
    """run(): the Children of one more process of this host."""
    runners = []

    def begin():
        children = Children(tmp_path)
        children.runner = SuspectRunner(queue, children)
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
    assert queue.claim(Child.holder, 1, seconds=30, versions={'test': 1}, suspects=group)
    first.started.clear()
    first.runner.reload()
    queue.expire([Child.holder])
    assert queue.claim('other', 1, seconds=30, versions={'test': 1}) == []
    assert first.started.wait(PATIENCE)  # the next child
    assert 'was ended by' not in caplog.text


def test_once_the_child_has_claimed_others_may_start_one(queue, run):
    first = run()
    assert first.started.wait(PATIENCE)
    group = SuspectGroup(*queue.suspects()[0])
    assert queue.claim(Child.holder, 1, seconds=30, versions={'test': 1}, suspects=group)
    add_suspect(queue, 't2')
    assert run().started.wait(PATIENCE)
