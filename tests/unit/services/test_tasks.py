"""Retries, and requests that are sent again."""

import types

import pytest

from glance.domain import errors
from glance.domain.caller import Caller
from glance.domain.idempotency import key_for
from glance.domain.task import Status
from glance.engine.null_executor import NullExecutor
from glance.interfaces.task_type import Plan
from glance.services.tasks import Tasks
from glance.testing.fakes.queue import FakeQueue
from glance.testing.fakes.tasks import FakeTaskRepository

US = Caller('us', 'me', request_id='req-1')
THEM = Caller('them', 'them')
ADMIN = Caller('admins', 'root', is_admin=True, request_id='req-2')
INPUT = {'a': {'c': 1, 'b': [True, None]}}


class Type:
    """A task type that notes for whom it plans."""

    postable = True
    flow = types.SimpleNamespace(type='test', version=1, provided=lambda: ())

    def __init__(self):
        self.planned = []
        self.error = None

    def plan(self, given, caller, service):
        if self.error:
            raise self.error
        self.planned.append(caller)
        return Plan({'number': len(self.planned), 'given': given})


class Executor(NullExecutor):
    def __init__(self):
        super().__init__()
        self.submitted = []

    def submit(self, task_id):
        self.submitted.append(task_id)


class World:
    def __init__(self):
        self.type = Type()
        self.types = {'test': self.type}
        self.queue = FakeQueue()
        self.repository = FakeTaskRepository(self.queue)
        self.executor = Executor()

    @property
    def tasks(self):
        """The service, as a process that has just started makes it."""
        return Tasks(self.repository, self.queue, self.executor, self.types, None)

    def claim(self):
        return self.queue.claim('me', 9, seconds=30, versions={'test': 1})

    def failed(self, by=US):
        task = self.tasks.create('test', INPUT, by=by)
        [claim] = self.claim()
        self.queue.fail(claim.lease, 'It was so.')
        self.queue.end(claim.lease)
        return self.tasks.get(task.id, by=by)


@pytest.fixture
def world():
    return World()


def test_a_retry_is_a_new_task_planned_anew(world):
    failed = world.failed()
    task, new = world.tasks.retry(failed, by=US)
    assert new
    assert task.id != failed.id
    assert (task.type, task.input, task.owner, task.user_id) == ('test', INPUT, 'us', 'me')
    assert (task.status, task.message, task.retry_of) == (Status.PENDING, '', failed.id)
    assert world.executor.submitted == [failed.id, task.id]
    [claim] = world.claim()
    assert claim.work == {'number': 2, 'given': INPUT}
    assert world.tasks.get(failed.id, by=US) == failed


def test_a_retry_can_be_retried_and_a_task_twice(world):
    failed = world.failed()
    first, _ = world.tasks.retry(failed, by=US)
    second, _ = world.tasks.retry(failed, by=US)
    assert first.id != second.id
    claims = world.claim()
    world.queue.fail(claims[0].lease, 'Again.')
    world.queue.end(claims[0].lease)
    third, _ = world.tasks.retry(world.tasks.get(first.id, by=US), by=US)
    assert third.retry_of == first.id


def test_what_has_not_failed_cannot_be_retried(world):
    task = world.tasks.create('test', INPUT, by=US)
    for status in ('pending', 'processing', 'success'):
        with pytest.raises(errors.Conflict, match=f'is {status}; only a failed task'):
            world.tasks.retry(world.tasks.get(task.id, by=US), by=US)
        if status == 'pending':
            [claim] = world.claim()
        elif status == 'processing':
            world.queue.finish(claim.lease, {})
    assert world.executor.submitted == [task.id]


def test_a_type_that_is_gone_cannot_be_retried(world):
    failed = world.failed()
    world.types = {}
    with pytest.raises(errors.Conflict, match='"test" any more'):
        world.tasks.retry(failed, by=US)


def test_a_refusal_of_the_plan_refuses_the_retry(world):
    failed = world.failed()
    world.type.error = errors.SourceRefused('Not any more.')
    with pytest.raises(errors.SourceRefused):
        world.tasks.retry(failed, by=US)
    assert world.claim() == []


def test_an_administrator_retries_for_the_owner(world):
    failed = world.failed(by=US)
    task, _ = world.tasks.retry(failed, by=ADMIN)
    assert (task.owner, task.user_id, task.request_id) == ('us', 'root', 'req-2')
    assert [caller.project_id for caller in world.type.planned] == ['us', 'us']
    assert world.tasks.get(task.id, by=US) == task


def test_a_key_is_answered_with_the_task_as_it_was_accepted(world):
    key = key_for('k', 'us', INPUT)
    assert world.tasks.of_key(key) is None
    task, new = world.tasks.create_once('test', INPUT, by=US, key=key)
    assert new
    [claim] = world.claim()
    world.queue.finish(claim.lease, {})
    assert world.tasks.of_key(key) == task
    again, new = world.tasks.create_once('test', INPUT, by=US, key=key)  # as who lost the race
    assert (again, new) == (task, False)
    assert world.executor.submitted == [task.id]
    assert world.claim() == []


def test_a_key_of_another_request_is_a_conflict(world):
    world.tasks.create_once('test', INPUT, by=US, key=key_for('k', 'us', INPUT))
    other = key_for('k', 'us', {})
    with pytest.raises(errors.Conflict, match='"Idempotency-Key" came with another request'):
        world.tasks.of_key(other)
    with pytest.raises(errors.Conflict):
        world.tasks.create_once('test', {}, by=US, key=other)
    assert len(world.executor.submitted) == 1


def test_how_a_request_is_written_makes_no_difference_to_its_key():
    assert key_for('k', 'us', {'a': 1, 'b': {'c': 2, 'd': 3}}) == key_for(
        'k', 'us', {'b': {'d': 3, 'c': 2}, 'a': 1}
    )
    assert key_for('k', 'us', [1, 2]) != key_for('k', 'us', [2, 1])


@pytest.mark.parametrize('text', ['', 'x' * 256, 'a\n', 'a\tb', 'ü', '\x7f', '\0'])
def test_what_cannot_be_a_key_is_refused(text):
    with pytest.raises(errors.Invalid, match='"Idempotency-Key"'):
        key_for(text, 'us', {})


@pytest.mark.parametrize('text', ['x' * 255, '~', 'a b', '"quoted"'])
def test_what_can_be_a_key(text):
    assert key_for(text, 'us', {}).text == text


def test_who_may_wait_is_who_may_see(world):
    task = world.tasks.create('test', INPUT, by=US)
    with pytest.raises(errors.TaskNotFound):
        world.tasks.wait(task.id, 60, by=THEM, is_gone=lambda: False)


def test_what_has_ended_and_what_has_no_place_is_not_waited_for(world):
    failed = world.failed()
    assert world.tasks.wait(failed.id, 60, by=US, is_gone=lambda: False) == (failed, 0)
    task = world.tasks.create('test', INPUT, by=US)  # this service has no places at all
    assert world.tasks.wait(task.id, 60, by=US, is_gone=lambda: False) == (task, 0)
