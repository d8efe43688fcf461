"""The tasks of dead processes of this host are freed, as soon as the database answers."""

import threading

import pytest

from glance.domain import errors
from glance.engine.dead_holders import DeadHolderWatch
from glance.engine.lease_holders import LeaseHolder
from glance.testing.observed_queue import PATIENCE


class Queue:
    """Answers holders() with what is in answers, errors included, then with all there are."""

    def __init__(self, *holders):
        self.answers = []
        self.freed = threading.Event()
        self._holders = list(holders)

    def holders(self):
        if self.answers:
            raise self.answers.pop()
        return self._holders

    def expire(self, holders):
        assert holders == self._holders
        self.freed.set()
        return 1


@pytest.mark.parametrize('error', [None, errors.DatabaseUnavailable(), RuntimeError('new')])
def test_what_a_dead_process_held_is_freed_though_the_first_look_fails(tmp_path, error):
    dead = LeaseHolder.register(tmp_path)
    dead.unlock()
    queue = Queue(dead.name)
    queue.answers = [error] if error else []
    own = LeaseHolder.register(tmp_path)
    watch = DeadHolderWatch(queue, own)
    watch.start()
    assert queue.freed.is_set() or error
    assert queue.freed.wait(PATIENCE)
    watch.stop()
    own.release()
