"""The status machine of tasks."""

import datetime

import pytest

from glance.domain import errors
from glance.domain.task import MAX_REASON, NEXT, Status, Task, before, parse_reason


def a_task(status=Status.PENDING):
    at = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    return Task('t1', 'import', 'a-project', {}, at, at, status=status)


def test_a_task_that_succeeds_keeps_its_result():
    task = a_task(Status.PROCESSING)
    task.succeed({'image_id': 'i1'})
    assert task.status == Status.SUCCESS
    assert task.result == {'image_id': 'i1'}


def test_a_task_may_fail_without_having_begun():
    task = a_task()
    task.fail('No.')
    assert (task.status, task.message) == (Status.FAILURE, 'No.')


@pytest.mark.parametrize('end', [Status.SUCCESS, Status.FAILURE])
@pytest.mark.parametrize(
    'change',
    [lambda task: task.begin(), lambda task: task.succeed({}), lambda task: task.fail('too late')],
)
def test_a_finished_task_stays_as_it_ended(end, change):
    task = a_task(end)
    with pytest.raises(errors.WrongTransition, match=f'Task t1 is {end};'):
        change(task)
    assert task.status == end
    assert task.ended


def test_a_pending_task_cannot_succeed():
    with pytest.raises(errors.WrongTransition):
        a_task().succeed({})


def test_before_is_the_table_read_backwards():
    assert before(Status.FAILURE) == [Status.PENDING, Status.PROCESSING]
    assert {(a, b) for b in Status for a in before(b)} == {
        (a, b) for a, later in NEXT.items() for b in later
    }


@pytest.mark.parametrize(
    'given', ['x' * MAX_REASON, 'é' * (MAX_REASON // 2), 'Wegen \u202e"; --', ' ']
)
def test_a_reason_for_a_cancel_is_text_of_a_kib(given):
    assert parse_reason(given) == given


@pytest.mark.parametrize('given', [None, ''])
def test_an_empty_reason_is_none(given):
    assert parse_reason(given) is None


@pytest.mark.parametrize('given', ['x' * (MAX_REASON + 1), 'é' * (MAX_REASON // 2) + 'x'])
def test_a_longer_reason_is_refused(given):
    with pytest.raises(errors.Invalid, match='"reason" is longer than 1024 bytes'):
        parse_reason(given)


@pytest.mark.parametrize('control', ['\0', '\n', '\r', '\t', '\x1b', '\x7f', '\x85'])
def test_a_reason_with_control_characters_is_refused(control):
    with pytest.raises(errors.Invalid, match='"reason" must not contain control characters'):
        parse_reason(f'why{control}')


def test_only_a_failure_was_cancelled():
    task = a_task(Status.PROCESSING)
    task.cancelled_at = task.created_at
    assert not task.cancelled
    task.fail('No.')
    assert task.cancelled
