"""What waits for others is said, and not at every look."""

import logging

import pytest

from glance.domain import errors
from glance.engine import unclaimable
from glance.testing.fakes.queue import FakeQueue


def test_it_is_said_at_the_first_look_and_again_after_some_minutes(caplog):
    caplog.set_level(logging.WARNING)
    now = 1000.0
    queue = FakeQueue()
    queue.add('t1', version=7)
    queue.add('t2', version=7)
    queue.add('t3', type_='export')
    queue.add('t4')
    looker = unclaimable.UnclaimableReporter(queue, {'test': 1}, clock=lambda: now)
    for _ in range(3):
        looker.look()
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        'Task type export, flow version 1: 1 wait for a process that can run them; '
        'this one knows test. Install the plug-in that runs them',
        'Task type test, flow version 7: 2 wait for a process that can run them; '
        'this one knows versions up to 1. Start the release that accepted them',
    ]
    now += unclaimable.SAY_EVERY - 1
    looker.look()
    assert len(caplog.records) == 2
    now += 1
    looker.look()
    assert len(caplog.records) == 4


def test_a_look_that_failed_is_repeated(caplog):
    class Gone(FakeQueue):
        answers = False

        def unclaimable(self, versions):
            if not self.answers:
                raise errors.DatabaseUnavailable
            return super().unclaimable(versions)

    queue = Gone()
    queue.add('t1', version=7)
    looker = unclaimable.UnclaimableReporter(queue, {'test': 1})
    with pytest.raises(errors.DatabaseUnavailable):
        looker.look()
    queue.answers = True
    looker.look()
    assert len(caplog.records) == 1
