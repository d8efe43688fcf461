"""What an import tells: its events and progress over HTTP, and how little they cost."""

import contextlib
import threading
import time

import pytest
import sqlalchemy as sa

from glance.domain import errors
from glance.testing.source_server import Answer

from .conftest import ADMIN

STEPS = ('create-record', 'fetch', 'check', 'store', 'finish')
# Of one short import, by executor: statements that wrote without events, and transactions.
WROTE = {'eventlet': (18, 4), 'taskflow': (32, 8)}
MOST_MORE = 6


def timeline(service, task_id, query=''):
    return service.call('GET', f'/v2/tasks/{task_id}/events{query}')


def told(answer):
    return [(event['event'], event.get('step')) for event in answer.json['events']]


def test_an_import_tells_of_each_step(service, web):
    web.pages['/image'] = b'bits' * 1000
    task = service.ended(service.import_(f'{web.url}/image').json['id'])
    assert task['progress'] == 100
    assert [(step['name'], step['state'], step['attempt']) for step in task['steps']] == [
        (name, 'done', 1) for name in STEPS
    ]
    moved = {step['name']: step.get('bytes_done') for step in task['steps']}
    assert (moved['fetch'], moved['store'], moved['check']) == (4000, 4000, None)
    answer = timeline(service, task['id'])
    assert told(answer) == [
        ('task.accepted', None),
        ('claim.begun', None),
        *((kind, name) for name in STEPS for kind in ('step.begun', 'step.done')),
        ('task.success', None),
    ]
    assert [event['seq'] for event in answer.json['events']] == list(range(1, 14))
    listed = service.call('GET', '/v2/tasks').json['tasks']
    assert [one['progress'] for one in listed] == [100]


def test_a_failed_import_tells_why_without_secrets(service, web):
    web.pages['/gone'] = Answer(b'', status=404)
    source = f'http://user:secret@127.0.0.1:{web.port}/gone?signature=hidden'
    accepted = service.import_(source)
    if accepted.status_int == 400:  # an address with a password is refused by the POST
        accepted = service.import_(f'{web.url}/gone?signature=hidden')
    task = service.ended(accepted.json['id'])
    assert task['status'] == 'failure'
    answer = timeline(service, task['id'])
    assert told(answer)[-5:] == [
        ('step.begun', 'fetch'),
        ('step.failed', 'fetch'),
        ('step.undone', 'fetch'),
        ('step.undone', 'create-record'),
        ('task.failure', None),
    ]
    assert answer.json['events'][-1]['detail'] == {'message': task['message']}
    for hidden in ('secret', 'hidden', str(service.state), 'Error'):
        assert hidden not in answer.text
    assert 0 < task['progress'] < 100
    assert {step['name']: step['state'] for step in task['steps']} == {
        'create-record': 'undone',
        'fetch': 'failed',
    }


@pytest.mark.once
def test_events_come_in_pages(service, web):
    web.pages['/image'] = b'bits'
    task = service.ended(service.import_(f'{web.url}/image').json['id'])
    path = f'/v2/tasks/{task["id"]}/events'
    seen, link = [], f'{path}?limit=5'
    while link:
        page = service.call('GET', link).json
        assert page['first'] == f'{path}?limit=5'
        seen += [event['seq'] for event in page['events']]
        link = page.get('next')
    assert seen == list(range(1, 14))
    assert timeline(service, task['id'], '?marker=13').json == {'events': [], 'first': path}


@pytest.mark.once
@pytest.mark.parametrize(
    ('query', 'word'),
    [
        ('?limit=-1', '"limit"'),
        ('?limit=some', '"limit"'),
        ('?limit=1&limit=2', '"limit"'),
        ('?marker=14', '"marker"'),
        ('?marker=99999999999999999999', '"marker"'),
        ('?marker=3f0ac3ad-6b9c-4f3e-9c0c-0a54f0b0f6a1', '"marker"'),
        ('?marker=', '"marker"'),
    ],
)
def test_a_bad_page_is_refused_by_the_name_of_its_field(service, web, query, word):
    web.pages['/image'] = b'bits'
    task = service.ended(service.import_(f'{web.url}/image').json['id'])
    answer = timeline(service, task['id'], query)
    assert (answer.status_int, word in answer.json['message']) == (400, True), answer.text


@pytest.mark.once
def test_the_events_of_an_unknown_task_are_not_found(service):
    answer = timeline(service, '3f0ac3ad-6b9c-4f3e-9c0c-0a54f0b0f6a1')
    assert answer.status_int == 404


@contextlib.contextmanager
def counted(engine_class=sa.Engine):
    """The statements of all engines while the block runs."""
    seen = []

    def note(_connection, _cursor, statement, *_more):
        if not statement.startswith(('SAVEPOINT', 'RELEASE', 'BEGIN', 'COMMIT', 'PRAGMA', 'SET ')):
            seen.append(' '.join(statement.split()))

    sa.event.listen(engine_class, 'before_cursor_execute', note)
    try:
        yield seen
    finally:
        sa.event.remove(engine_class, 'before_cursor_execute', note)


def test_events_cost_few_statements_and_no_commit(service, web):
    web.pages['/image'] = b'bits'
    service.ended(service.import_(f'{web.url}/image').json['id'])  # what is read once
    while True:
        with counted() as seen:
            service.ended(service.import_(f'{web.url}/image').json['id'])
        if not any('renewed' in one for one in seen):
            break  # renewals follow the clock
    written, transactions = WROTE[service.conf.task.task_executor]
    writing = [one for one in seen if not one.startswith('SELECT')]
    assert written < len(writing) <= written + MOST_MORE, writing
    assert len([one for one in writing if 'SET touched=' in one]) == transactions


class Endless:
    """A source that sends a part of its file and then falls silent."""

    def __init__(self):
        self.release = threading.Event()

    def __call__(self, request):
        return Answer(self._part(), announced=8 * 2**20)

    def _part(self):
        yield b'\0' * 2**21
        self.release.wait(60)


def test_an_import_that_is_cancelled_amid_its_fetch_says_so(service, web):
    web.pages['/image'] = source = Endless()
    task_id = service.import_(f'{web.url}/image').json['id']

    def bytes_done():
        steps = service.call('GET', f'/v2/tasks/{task_id}').json['steps']
        return [step.get('bytes_done') for step in steps if step['name'] == 'fetch']

    until = time.monotonic() + 60
    while bytes_done() in ([], [None], [0]):
        assert time.monotonic() < until
        time.sleep(0.05)
    service.application.services.tasks.cancel(task_id, by=ADMIN)
    task = service.ended(task_id)
    source.release.set()
    answer = timeline(service, task_id)
    assert told(answer) == [
        ('task.accepted', None),
        ('claim.begun', None),
        ('step.begun', 'create-record'),
        ('step.done', 'create-record'),
        ('step.begun', 'fetch'),
        ('task.cancel-requested', None),
        ('step.failed', 'fetch'),
        ('step.undone', 'fetch'),
        ('step.undone', 'create-record'),
        ('task.failure', None),
    ]
    assert (task['status'], task['message']) == ('failure', str(errors.Cancelled()))
    assert 0 < task['progress'] < 60
    [fetch] = [step for step in task['steps'] if step['name'] == 'fetch']
    assert 0 < fetch['bytes_done'] < fetch['bytes_total'] == 8 * 2**20
