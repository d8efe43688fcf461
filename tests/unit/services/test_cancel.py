"""What a caller can cancel."""

import types

import pytest

from glance.domain import errors
from glance.domain.caller import Caller
from glance.domain.entry import Entry
from glance.domain.task import Status, Task
from glance.services.tasks import Tasks
from glance.testing.fakes.queue import FakeQueue
from glance.testing.fakes.tasks import FakeTaskRepository
from tests.unit.api.conftest import AT

OWNER = Caller('ours', user_id='me')


class Cancelling:
    def __init__(self):
        self.told = []
        self.queue = FakeQueue()
        repository = FakeTaskRepository(self.queue)
        repository.add(Task('t1', 'test', 'ours', {}, AT, AT), Entry('t1', 'test', 1, {}))
        executor = types.SimpleNamespace(cancel=self.told.append)
        self.tasks = Tasks(repository, self.queue, executor, {}, None)

    def claim(self):
        [claim] = self.queue.claim('us', 1, seconds=600, versions={'test': 1})
        return claim.lease


@pytest.fixture
def cancelling():
    return Cancelling()


def test_a_running_task_is_asked_to_stop_and_its_executor_told(cancelling):
    cancelling.claim()
    task = cancelling.tasks.cancel('t1', by=OWNER, reason='enough')
    assert (task.status, task.cancel_reason, task.cancelled_by) == (
        Status.PROCESSING,
        'enough',
        'me',
    )
    assert cancelling.told == ['t1']


def test_a_pending_task_has_ended_then(cancelling):
    task = cancelling.tasks.cancel('t1', by=OWNER)
    assert (task.status, task.cancelled, task.cancel_reason) == (Status.FAILURE, True, None)


def test_a_second_request_changes_nothing_until_the_task_has_ended(cancelling):
    lease = cancelling.claim()
    cancelling.tasks.cancel('t1', by=OWNER, reason='first')
    again = cancelling.tasks.cancel('t1', by=Caller('x', is_admin=True), reason='second')
    assert (again.cancel_reason, again.cancelled_by) == ('first', 'me')
    cancelling.queue.fail(lease, '')
    cancelling.queue.end(lease)
    with pytest.raises(errors.Conflict, match='Task t1 has ended'):
        cancelling.tasks.cancel('t1', by=OWNER)


def test_a_task_that_has_succeeded_is_not_cancelled(cancelling):
    cancelling.queue.finish(cancelling.claim(), {})
    with pytest.raises(errors.Conflict):
        cancelling.tasks.cancel('t1', by=OWNER)
    assert cancelling.told == []


def test_a_task_of_another_project_is_not_found(cancelling):
    with pytest.raises(errors.TaskNotFound):
        cancelling.tasks.cancel('t1', by=Caller('theirs'))
    assert cancelling.queue.cancels == {}


def test_a_bad_reason_cancels_nothing(cancelling):
    with pytest.raises(errors.Invalid):
        cancelling.tasks.cancel('t1', by=OWNER, reason='a\nb')
    assert cancelling.queue.cancels == {}
