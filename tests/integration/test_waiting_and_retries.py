"""The wait for the end of a task, and retries, in the whole application."""

import json
import threading

import pytest
import sqlalchemy as sa

from glance.components import SharedComponents
from glance.domain.caller import Caller
from glance.folders import Folders
from glance.runner import Runner
from glance.testing.observed_queue import PATIENCE
from glance.testing.source_server import Answer

US, ADMIN = Caller('us', 'me'), Caller('admins', 'root', is_admin=True)
IMAGE = '11111111-1111-4111-8111-111111111111'


@pytest.fixture
def held(web):
    """A source at /held that sends its second byte when the event is set."""
    go_on = threading.Event()

    def pieces():
        yield b'a'
        go_on.wait(PATIENCE)
        yield b'b'

    web.pages['/held'] = lambda _request: Answer(pieces(), announced=2)
    yield go_on
    go_on.set()


def wait(service, task_id, seconds):
    """The answers to a request that waits, in a thread of its own; it is asked already."""
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(service.call('GET', f'/v2/tasks/{task_id}?wait={seconds}'))
    )
    thread.start()
    return thread, answers


def waiting(service):
    return service.application.services.tasks._waiting._count


def until(true):
    for _ in range(int(PATIENCE / 0.01)):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError('in vain')


def rename(service, old, new):
    words = sa.text(f'ALTER TABLE {old} RENAME TO {new}')
    service.application.database.write(lambda connection: connection.execute(words))


def test_who_waits_is_answered_at_the_end(make_service, held, web):
    service = make_service().start()
    task_id = service.import_(f'{web.url}/held').json['id']
    thread, answers = wait(service, task_id, 120)
    until(lambda: waiting(service) == 1)
    held.set()
    thread.join(PATIENCE)
    [answer] = answers
    assert answer.json['status'] == 'success'
    assert answer.body == service.call('GET', f'/v2/tasks/{task_id}').body
    assert waiting(service) == 0
    again = service.call('GET', f'/v2/tasks/{task_id}?wait=120')
    assert (again.json, again.headers['Glance-Waited']) == (answer.json, '0')


def test_who_waits_hears_of_an_end_elsewhere(make_service, held, web):
    service = make_service(task={'conduct': False, 'poll_interval': 0.05}).start()
    task_id = service.import_(f'{web.url}/held').json['id']
    thread, answers = wait(service, task_id, 120)
    until(lambda: waiting(service) == 1)
    folders = Folders(service.conf)
    runner = Runner(service.conf, folders, SharedComponents(service.conf, folders))
    runner.start()
    try:
        held.set()
        thread.join(PATIENCE)
    finally:
        runner.stop()
    assert answers[0].json['status'] == 'success'


def test_the_time_is_over_before_the_end(make_service, held, web):
    service = make_service().start()
    task_id = service.import_(f'{web.url}/held').json['id']
    answer = service.call('GET', f'/v2/tasks/{task_id}?wait=1')
    assert answer.json['status'] == 'processing'
    assert float(answer.headers['Glance-Waited']) >= 1


def test_without_its_database_who_waits_gets_what_everybody_gets(make_service, held, web):
    service = make_service().start()
    task_id = service.import_(f'{web.url}/held').json['id']
    thread, answers = wait(service, task_id, 120)
    until(lambda: waiting(service) == 1)
    rename(service, 'tasks', 'away')
    try:
        thread.join(PATIENCE)
        assert service.call('GET', f'/v2/tasks/{task_id}').status_int == 503
    finally:
        rename(service, 'away', 'tasks')
    assert answers[0].status_int == 503
    assert waiting(service) == 0


def test_a_failed_import_is_repeated_with_its_image_id(make_service, web):
    service = make_service().start()
    posted = service.import_(f'{web.url}/image', id=IMAGE).json
    failed = service.ended(posted['id'])
    assert failed['status'] == 'failure'
    web.pages['/image'] = b'bits'
    path = f'/v2/tasks/{failed["id"]}'
    answer = service.call('POST', f'{path}/retry')
    assert answer.status_int == 201
    retry = service.ended(answer.json['id'])
    assert (retry['status'], retry['retry_of']) == ('success', failed['id'])
    assert retry['result'] == {'image_id': IMAGE}
    assert service.call('GET', path).json == failed
    refused = service.call('POST', f'{path}/retry')  # its image is there now
    assert refused.status_int == 409
    assert IMAGE in refused.json['message']


def test_the_import_filter_is_asked_again(make_service, web):
    service = make_service().start()
    failed = service.ended(service.import_(f'{web.url}/missing').json['id'])
    service.stop()
    other = make_service(import_filtering_opts={'allowed_hosts': ['elsewhere.example']}).start()
    answer = other.call('POST', f'/v2/tasks/{failed["id"]}/retry')
    assert answer.status_int == 400
    assert 'filtering' in answer.json['message']


def test_a_type_that_is_not_installed_any_more_is_a_conflict(make_service, web):
    service = make_service().start()
    failed = service.ended(service.import_(f'{web.url}/missing').json['id'])
    service.stop()
    bare = make_service(replacements={'task_types': {}}).start()
    answer = bare.call('POST', f'/v2/tasks/{failed["id"]}/retry')
    assert answer.status_int == 409
    assert '"import" any more' in answer.json['message']


def test_the_image_of_a_retry_belongs_to_the_owner_of_the_task(make_service, web):
    service = make_service().start()
    tasks = service.application.services.tasks
    given = {
        'import_from': f'{web.url}/image',
        'import_from_format': 'raw',
        'image_properties': {},
    }
    failed = tasks.create('import', given, by=US)
    service.ended(failed.id)
    web.pages['/image'] = b'bits'
    task, _ = tasks.retry(tasks.get(failed.id, by=ADMIN), by=ADMIN)
    image_id = service.ended(task.id)['result']['image_id']
    image = service.application.services.images.get(image_id, by=US)
    assert (tasks.get(task.id, by=US).owner, image.owner) == ('us', 'us')


def test_an_answer_is_repeated_byte_by_byte(make_service, web):
    service = make_service().start()
    web.pages['/image'] = b'bits'
    body = {
        'type': 'import',
        'input': {
            'import_from_format': 'raw',
            'import_from': f'{web.url}/image',
            'image_properties': {'name': 'ü', 'min_ram': 1},
        },
    }
    headers = {'Content-Type': 'application/json', 'Idempotency-Key': 'k'}
    first = service.call('POST', '/v2/tasks', body=json.dumps(body).encode(), headers=headers)
    service.ended(first.json['id'])
    other = json.dumps(dict(reversed(body.items())), indent=1, ensure_ascii=False).encode()
    again = service.call('POST', '/v2/tasks', body=other, headers=headers)
    assert (again.status_int, again.body) == (201, first.body)
    assert again.headers['Location'] == first.headers['Location']
    assert 'Idempotency-Replayed' not in first.headers
    assert again.headers['Idempotency-Replayed'] == 'true'
