"""Bad input, row by row as in the operator guide: a clear sentence, and nothing left behind."""

import json

import pytest

from glance import threads
from glance.image_data.resolving import SystemResolver
from glance.testing import images
from glance.testing.source_server import Answer

pytestmark = pytest.mark.once

GOOD = {'import_from': 'http://127.0.0.1/a', 'import_from_format': 'raw', 'image_properties': {}}


def without(name):
    return {'type': 'import', 'input': {k: v for k, v in GOOD.items() if k != name}}


def with_properties(**properties):
    return {'type': 'import', 'input': GOOD | {'image_properties': properties}}


def with_source(address):
    return {'type': 'import', 'input': GOOD | {'import_from': address}}


REFUSED = {
    'no type': ({'input': GOOD}, 400, 'type'),
    'no input': ({'type': 'import'}, 400, 'input'),
    'type of another kind': ({'type': 7, 'input': GOOD}, 400, 'type'),
    'unknown type': ({'type': 'bake', 'input': GOOD}, 400, 'import'),
    'internal type': ({'type': 'api_image_import', 'input': GOOD}, 400, 'import'),
    'extra key': ({'type': 'import', 'input': GOOD, 'priority': 9}, 400, 'priority'),
    'null input': ({'type': 'import', 'input': None}, 400, 'input'),
    'list input': ({'type': 'import', 'input': []}, 400, 'input'),
    'no import_from': (without('import_from'), 400, 'input.import_from'),
    'no import_from_format': (without('import_from_format'), 400, 'input.import_from_format'),
    'no image_properties': (without('image_properties'), 400, 'input.image_properties'),
    'extra key in input': (
        {'type': 'import', 'input': GOOD | {'checksum': 'x'}},
        400,
        'input.checksum',
    ),
    'no mirror': (with_source([]), 400, 'input.import_from'),
    'too many mirrors': (
        with_source([f'http://127.0.0.1/{number}' for number in range(11)]),
        400,
        'input.import_from',
    ),
    'mirror of another kind': (with_source(['http://127.0.0.1/a', 7]), 400, 'import_from.1'),
    'a mirror twice': (with_source(['http://127.0.0.1/a'] * 2), 400, 'input.import_from'),
    'a mirror that is refused': (
        with_source(['http://127.0.0.1/a', 'http://192.0.2.1/b']),
        400,
        '"input.import_from": http://192.0.2.1/b does not pass filtering',
    ),
    'malformed checksum': (
        {'type': 'import', 'input': GOOD | {'import_checksum': 'sha1:ab'}},
        400,
        'input.import_checksum',
    ),
    'reserved property': (with_properties(status='active'), 403, 'status'),
    'reserved prefix': (with_properties(os_glance_x='y'), 403, 'os_glance_x'),
    'malformed property': (with_properties(min_disk='big'), 400, 'min_disk'),
    'malformed id': (with_properties(id='me'), 400, 'id'),
    'unknown disk_format': (with_properties(disk_format='floppy'), 400, 'disk_format'),
    'file address': (with_source('file:///etc/passwd'), 400, 'file'),
    'ftp address': (with_source('ftp://127.0.0.1/a'), 400, 'ftp'),
    'no scheme': (with_source('127.0.0.1/a'), 400, '127.0.0.1/a'),
    'refused host': (with_source('http://192.0.2.1/a'), 400, '192.0.2.1'),
    'refused port': (with_source('http://127.0.0.1:2/a'), 400, '2'),
}


@pytest.fixture
def quiet(make_service):
    return make_service().start()


@pytest.mark.parametrize('row', REFUSED)
def test_what_cannot_be_accepted_is_refused_at_once(quiet, row):
    body, status, fact = REFUSED[row]
    answer = quiet.post(body)
    assert answer.status_int == status, answer.text
    assert fact in answer.json['message']
    assert 'Traceback' not in answer.text
    assert quiet.call('GET', '/v2/tasks').json['tasks'] == []
    assert quiet.files() == []


@pytest.mark.parametrize(
    ('body', 'kind', 'status'),
    [
        (b'{"type": "import"', 'application/json', 400),
        (b'\xff\xfe{}', 'application/json', 400),
        (b'[]', 'application/json', 400),
        (b'"import"', 'application/json', 400),
        (b'', 'application/json', 400),
        (b'type=import', 'application/x-www-form-urlencoded', 415),
        (json.dumps({'type': 'import', 'input': GOOD}).encode(), 'text/plain', 415),
        (b'{"type": "import", "input": "' + b'x' * 70000 + b'"}', 'application/json', 413),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(quiet, body, kind, status):
    answer = quiet.call(
        'POST',
        '/v2/tasks',
        body=body,
        headers={'Content-Type': kind, 'Accept': 'application/json'},
    )
    assert answer.status_int == status
    assert quiet.call('GET', '/v2/tasks').json['tasks'] == []


def test_an_id_that_exists_is_a_conflict_and_harms_nothing(quiet, web):
    web.pages['/a'] = b'mine'
    task = quiet.ended(quiet.import_(f'{web.url}/a').json['id'])
    image_id = task['result']['image_id']
    answer = quiet.import_(f'{web.url}/a', id=image_id)
    assert answer.status_int == 409
    assert image_id in answer.json['message']
    assert quiet.call('GET', f'/v2/images/{image_id}/file').body == b'mine'
    assert quiet.files() == [f'images/{image_id}.1']


def test_the_content_is_judged_by_the_disk_format_and_not_by_the_format_of_the_source(
    make_service, web
):
    service = make_service().start()
    web.pages['/raw'] = b'bits'
    for disk_format, status in (('raw', 'success'), ('qcow2', 'failure')):
        answer = service.import_(f'{web.url}/raw', format_='vmdk', disk_format=disk_format)
        assert answer.status_int == 201
        task = service.ended(answer.json['id'])
        assert task['status'] == status
    assert task['message'] == 'The content is raw, but disk_format says qcow2.'


def test_of_two_imports_under_one_id_the_second_fails_and_the_first_stands(make_service, web):
    service = make_service()
    wanted = '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0'
    web.pages['/a'] = b'first'
    web.pages['/b'] = b'second'
    posted = [service.import_(f'{web.url}{path}', id=wanted).json['id'] for path in ('/a', '/b')]
    service.start()
    ends = [service.ended(task_id) for task_id in posted]
    assert sorted(task['status'] for task in ends) == ['failure', 'success']
    [failed] = [task for task in ends if task['status'] == 'failure']
    assert failed['message'] == f'An image with the id {wanted} exists already.'
    assert service.call('GET', f'/v2/images/{wanted}').json['status'] == 'active'
    assert service.files() == [f'images/{wanted}.1']


# What is found out only while the import runs: page, format, fact in the message.
FAILS = {
    'not found': (None, 'raw', '404 Not Found'),
    'error of the source': (Answer(b'oh', status=500), 'raw', '500'),
    'short body': (Answer(b'half', announced=8), 'raw', 'announced 8 bytes but sent 4'),
    'too large as announced': (b'x' * 3000, 'raw', '2048 bytes'),
    'too large as it comes': (Answer(b'x' * 3000, announced=False), 'raw', '2048 bytes'),
    'empty body': (b'', 'raw', 'empty'),
    'another format than declared': (b'not a qcow2 at all', 'qcow2', 'qcow2'),
    'raw that is none': (images.qcow2(virtual_size=2**20)[:2048], 'raw', 'qcow2'),
}


@pytest.fixture(params=['eventlet', 'taskflow-serial', 'taskflow-parallel'])
def capped(request, make_service):
    return make_service(request.param, DEFAULT={'image_size_cap': 2048}).start()


@pytest.mark.parametrize('row', FAILS)
def test_what_fails_says_why_and_leaves_nothing(capped, web, row):
    page, format_, fact = FAILS[row]
    if page is not None:
        web.pages['/a'] = page
    task = capped.ended(capped.import_(f'{web.url}/a', format_).json['id'])
    assert task['status'] == 'failure'
    assert fact in task['message']
    assert task['result'] is None
    assert capped.files() == []
    assert capped.call('GET', '/v2/images').json['images'] == []
    assert capped.call('GET', f'/v2/images/{task["image_id"]}').status_int == 404


def test_a_refused_connection_says_so_and_leaves_nothing(capped):
    task = capped.ended(capped.import_('http://127.0.0.1:1/a').json['id'])
    assert task['status'] == 'failure'
    assert 'refused' in task['message']
    assert capped.files() == []


@pytest.mark.parametrize('kind', ['images', 'tasks'])
def test_what_is_filtered_by_the_time_that_is_shown_is_found(make_service, web, kind):
    """Clients see whole seconds; the database keeps more."""
    service = make_service().start()
    web.pages['/a'] = b'bits'
    task = service.ended(service.import_(f'{web.url}/a').json['id'])
    record_id = task['id'] if kind == 'tasks' else task['result']['image_id']
    shown = service.call('GET', f'/v2/{kind}/{record_id}').json['created_at']

    def found(value):
        return service.call('GET', f'/v2/{kind}?created_at={value}').json[kind]

    assert [one['id'] for one in found(shown)] == [record_id]
    if kind == 'images':
        for comparison in ('eq', 'gte', 'lte'):
            assert found(f'{comparison}:{shown}'), comparison
        for comparison in ('neq', 'gt', 'lt'):
            assert not found(f'{comparison}:{shown}'), comparison
    for far in ('0001-01-01T00:00:00Z', '9999-12-31T23:59:59Z'):
        assert found(far) == []


@pytest.mark.parametrize(('addresses', 'status'), [(['127.0.0.1'], 201), ([], 400)])
def test_the_names_of_mirrors_are_looked_up_side_by_side(make_service, web, addresses, status):
    """One after another, ten names that nobody answers for would hold a POST for minutes."""
    all_at_once = threads.original('threading').Barrier(10, timeout=60)

    def look_up(_host, _port):
        all_at_once.wait()
        return addresses

    names = [f'mirror{number}.example' for number in range(10)]
    service = make_service(
        import_filtering_opts={'allowed_hosts': names},
        task={'conduct': False},
        replacements={'resolver': SystemResolver(look_up=look_up, timeout=120)},
    )
    answer = service.post(with_source([f'http://{name}:{web.port}/a' for name in names]))
    assert answer.status_int == status
    assert status == 201 or 'its host mirror0.example cannot be resolved' in answer.text
    assert [task['status'] for task in service.call('GET', '/v2/tasks').json['tasks']] == (
        ['pending'] if status == 201 else []
    )
