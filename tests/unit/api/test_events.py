"""/v2/tasks/{task_id}/events, and the steps of a task."""

import pytest

from glance.domain.events import Event, Kind
from glance.domain.steps import StepReport, StepState

from .conftest import AT, TASK

PATH = f'/v2/tasks/{TASK}/events'
DONE = Event(Kind.STEP_DONE, 'fetch', {'bytes_done': 7}, AT, 2, 'host', '12-ab', 5)
ACCEPTED = Event(Kind.ACCEPTED, at=AT, seq=1)


def test_an_event_is_shown_with_what_it_has(call, services):
    services.tasks.add()
    services.tasks.told = [ACCEPTED, DONE]
    answer = call('GET', PATH)
    assert answer.json == {
        'events': [
            {
                'seq': 1,
                'at': '2026-01-31T12:00:00.123456Z',
                'event': 'task.accepted',
                'detail': {},
            },
            {
                'seq': 5,
                'at': '2026-01-31T12:00:00.123456Z',
                'event': 'step.done',
                'step': 'fetch',
                'attempt': 2,
                'host': 'host',
                'process': '12-ab',
                'detail': {'bytes_done': 7},
            },
        ],
        'first': PATH,
    }
    assert services.tasks.asked == [(25, 0, 'default')]


def test_a_full_page_names_the_next(call, services):
    services.tasks.add()
    services.tasks.told = [ACCEPTED, DONE]
    answer = call('GET', f'{PATH}?marker=7&limit=2')
    assert services.tasks.asked == [(2, 7, 'default')]
    assert answer.json['first'] == f'{PATH}?limit=2'
    assert answer.json['next'] == f'{PATH}?limit=2&marker=5'


@pytest.mark.parametrize('rule', ['get_task_events', 'tasks_api_access'])
def test_the_policy_is_asked_before_the_task(call, make_app, rule):
    app = make_app(policy=f'{rule}: "!"')
    assert call('GET', PATH, app=app).status_int == 403


def test_a_task_that_is_not_there_or_foreign_has_none(call):
    assert call('GET', PATH).status_int == 404


@pytest.mark.parametrize('query', ['marker=-1', 'marker=1.5', 'marker=9999999999', 'limit=x'])
def test_a_bad_query_names_its_field(call, services, query):
    services.tasks.add()
    answer = call('GET', f'{PATH}?{query}', headers={'Accept': 'application/json'})
    assert answer.status_int == 400
    assert f'"{query.partition("=")[0]}"' in answer.json['message']


def test_steps_are_shown_with_what_they_have(call, services):
    task = services.tasks.add(progress=40)
    task.steps = [
        StepReport('create', StepState.DONE, AT, AT, 1),
        StepReport('fetch', StepState.RUNNING, AT, None, 2, 7, 9, 3),
    ]
    answer = call('GET', f'/v2/tasks/{TASK}')
    at = '2026-01-31T12:00:00.123456Z'
    assert answer.json['progress'] == 40
    assert answer.json['steps'] == [
        {'name': 'create', 'state': 'done', 'started_at': at, 'ended_at': at, 'attempt': 1},
        {
            'name': 'fetch',
            'state': 'running',
            'started_at': at,
            'attempt': 2,
            'bytes_done': 7,
            'bytes_total': 9,
            'rate': 3,
        },
    ]
