"""POST /v2/tasks/{id}/cancel."""

import logging

import pytest

from glance.domain import errors
from glance.domain.task import Status
from tests.unit.api.conftest import AT, TASK

URL = f'/v2/tasks/{TASK}/cancel'
JSON = {'Content-Type': 'application/json'}


@pytest.fixture
def task(services):
    return services.tasks.add(
        status=Status.PROCESSING, cancelled_at=AT, cancelled_by='u', cancel_reason='enough'
    )


@pytest.mark.usefixtures('task')
def test_the_answer_is_the_task(call, services):
    answer = call('POST', URL, json={'reason': 'enough'})
    assert (answer.status_int, answer.json) == (202, call('GET', f'/v2/tasks/{TASK}').json)
    assert services.tasks.cancels == [(TASK, None, 'enough')]


@pytest.mark.parametrize(
    'parts',
    [
        {},
        {'body': b'', 'headers': JSON},
        {'json': {}},
        {'json': {'reason': None}},
        {'body': b'', 'headers': JSON, 'environ': {'HTTP_TRANSFER_ENCODING': 'chunked'}},
    ],
)
@pytest.mark.usefixtures('task')
def test_a_cancel_needs_no_reason(call, services, parts):
    assert call('POST', URL, **parts).status_int == 202
    assert services.tasks.cancels == [(TASK, None, None)]


def test_the_cancel_of_a_task_is_shown_once_it_was_requested(call, task):
    shown = call('GET', f'/v2/tasks/{TASK}').json
    assert 'cancelled' not in shown  # it has not ended yet
    asked = {
        'cancelled_at': '2026-01-31T12:00:00Z',
        'cancelled_by': 'u',
        'cancel_reason': 'enough',
    }
    assert asked.items() <= shown.items()
    task.status = Status.FAILURE
    assert call('GET', f'/v2/tasks/{TASK}').json['cancelled'] is True
    assert call('GET', '/v2/tasks').json['tasks'][0]['cancelled'] is True


def test_another_task_does_not_speak_of_a_cancel(call, services):
    services.tasks.add(status=Status.FAILURE)
    shown = call('GET', f'/v2/tasks/{TASK}').json
    assert not [name for name in shown if 'cancel' in name]


@pytest.mark.parametrize(
    ('body', 'sentence'),
    [
        ('[]', 'The body must be an object.'),
        ('null', 'The body must be an object.'),
        ('"why"', 'The body must be an object.'),
        ('{"reason": 5}', '"reason" must be null or text.'),
        ('{"reason": ["a"]}', '"reason" must be null or text.'),
        ('{"why": "a"}', '"why" is not known.'),
        ('{"reason": "a", "status": "success"}', '"status" is not known.'),
        ('{"reason": "\\ud800"}', 'The body holds half a surrogate pair.'),
        ('{"reason": ', 'The body is not JSON: Expecting value (line 1, column 12).'),
    ],
)
@pytest.mark.usefixtures('task')
def test_a_bad_body_is_refused_by_name(call, services, body, sentence):
    answer = call('POST', URL, body=body.encode(), headers=JSON | {'Accept': 'application/json'})
    assert (answer.status_int, answer.json['message']) == (400, sentence)
    assert services.tasks.cancels == []


@pytest.mark.usefixtures('task')
def test_a_body_that_is_not_json_is_refused(call, services):
    answer = call('POST', URL, body=b'{}', headers={'Content-Type': 'text/plain'})
    assert answer.status_int == 415
    assert services.tasks.cancels == []


@pytest.mark.parametrize(
    ('error', 'status'),
    [
        (errors.TaskNotFound(TASK), 404),
        (errors.Conflict('It has ended.'), 409),
        (errors.Invalid('"reason" is bad.'), 400),
        (errors.DatabaseUnavailable(), 503),
    ],
)
@pytest.mark.usefixtures('task')
def test_what_the_service_refuses_has_its_status(call, services, error, status):
    services.tasks.error = error
    assert call('POST', URL).status_int == status


@pytest.mark.parametrize('method', ['GET', 'PUT', 'DELETE', 'PATCH'])
def test_only_a_post_cancels(call, method):
    answer = call(method, URL)
    assert (answer.status_int, answer.headers['Allow']) == (405, 'POST, OPTIONS')


@pytest.mark.parametrize('rule', ['tasks_api_access', 'cancel_task'])
def test_policy_decides_before_the_body_is_read(call, make_app, services, rule):
    app = make_app(policy=f'{rule}: "!"')
    assert call('POST', URL, app=app, body=b'no', headers=JSON).status_int == 403
    assert services.tasks.cancels == []


@pytest.mark.usefixtures('task')
def test_a_request_is_logged_without_the_words_of_the_user(call, caplog):
    caplog.set_level(logging.INFO, 'glance')
    call('POST', URL, json={'reason': 'enough'})
    assert [(record.action, record.getMessage()) for record in caplog.records] == [
        ('task_cancel_requested', f'Task {TASK} is to be cancelled')
    ]


@pytest.mark.parametrize('name', ['cancelled', 'cancelled_at', 'cancelled_by', 'cancel_reason'])
def test_tasks_are_not_filtered_by_their_cancel(call, name):
    assert call('GET', f'/v2/tasks?{name}=x').status_int == 400
