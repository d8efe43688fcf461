"""/v2/tasks and /v2/images/{id}/tasks."""

import datetime
import logging

import pytest

from glance.domain.task import Status

TASK = '11111111-1111-4111-8111-111111111111'
IMAGE = '22222222-2222-4222-8222-222222222222'
OTHER = '33333333-3333-4333-8333-333333333333'
LATER = datetime.datetime(2026, 2, 2, 12, 0, tzinfo=datetime.UTC)
INPUT = {'import_from': 'http://source/image', 'import_from_format': 'raw', 'image_properties': {}}


def create(call, **parts):
    return call('POST', '/v2/tasks', json={'type': 'import', 'input': INPUT}, **parts)


def test_a_task_is_accepted(call):
    answer = create(call)
    assert answer.status_int == 201
    assert answer.content_type == 'application/json'
    assert answer.json == {
        'id': TASK,
        'type': 'import',
        'status': 'pending',
        'owner': 'default',
        'input': INPUT,
        'message': '',
        'result': None,
        'progress': 0,
        'steps': [],
        'created_at': '2026-01-31T12:00:00Z',
        'updated_at': '2026-01-31T12:00:00Z',
        'request_id': answer.headers['x-openstack-request-id'],
        'self': f'/v2/tasks/{TASK}',
        'schema': '/v2/schemas/task',
    }


def test_the_location_is_absolute(call):
    answer = create(call, headers={'Host': 'localhost:9292'})
    assert answer.headers['Location'] == f'http://localhost:9292/v2/tasks/{TASK}'


def test_the_location_follows_public_endpoint(call, make_app):
    app = make_app(public_endpoint='https://images.example/glance')
    location = create(call, app=app).headers['Location']
    assert location == f'https://images.example/glance/v2/tasks/{TASK}'


def test_accepting_a_task_is_logged_with_its_id(call, caplog):
    caplog.set_level(logging.INFO, 'glance')
    create(call)
    assert [(record.action, record.getMessage()) for record in caplog.records] == [
        ('task_accepted', f'Task {TASK} accepted')
    ]


def test_a_task_that_ended_shows_what_came_of_it(call, services):
    services.tasks.add(
        status=Status.SUCCESS,
        result={'image_id': IMAGE},
        message='',
        expires_at=LATER,
        image_id=IMAGE,
        request_id='req-1',
        user_id='somebody',
    )
    shown = call('GET', f'/v2/tasks/{TASK}').json
    assert shown['result'] == {'image_id': IMAGE}
    assert shown['expires_at'] == '2026-02-02T12:00:00Z'
    assert (shown['image_id'], shown['request_id'], shown['user_id']) == (
        IMAGE,
        'req-1',
        'somebody',
    )


def test_what_a_task_does_not_have_is_left_out(call, services):
    services.tasks.add()
    shown = call('GET', f'/v2/tasks/{TASK}').json
    assert {'image_id', 'request_id', 'user_id', 'expires_at'}.isdisjoint(shown)


@pytest.mark.parametrize(
    'wrong',
    [
        '5',
        'x',
        TASK[:-1],
        TASK + '0',
        TASK.replace('-', ''),
        f'{TASK}%00',
        '%00',
        '%ff',
        '%0a',
        ' ',
        f'{TASK}%0a',
        '..',
        "'",
        '"',
        '%C3%A9',
        'x' * 5000,
        '%2e%2e%2fetc',
        '{task_id}',
        '%',
        '%zz',
    ],
)
def test_what_is_no_uuid_names_no_task(call, services, wrong):
    services.tasks.add()
    expected = 400 if wrong == '%ff' else 404
    assert call('GET', f'/v2/tasks/{wrong}').status_int == expected


def test_a_task_that_is_not_there_is_not_found(call):
    assert call('GET', f'/v2/tasks/{TASK}').status_int == 404


def test_the_list_shows_less_of_each_task(call, services):
    services.tasks.add(expires_at=LATER, image_id=IMAGE)
    answer = call('GET', '/v2/tasks')
    assert answer.json == {
        'tasks': [
            {
                'id': TASK,
                'type': 'import',
                'status': 'pending',
                'owner': 'default',
                'progress': 0,
                'created_at': '2026-01-31T12:00:00Z',
                'updated_at': '2026-01-31T12:00:00Z',
                'expires_at': '2026-02-02T12:00:00Z',
                'self': f'/v2/tasks/{TASK}',
                'schema': '/v2/schemas/task',
            }
        ],
        'first': '/v2/tasks',
        'schema': '/v2/schemas/tasks',
    }


def asked(call, services, query):
    """What the list asks the service for."""
    answer = call('GET', f'/v2/tasks?{query}')
    assert answer.status_int == 200, answer.text
    return services.tasks.listings[-1]


def test_a_list_without_wishes(call, services):
    listing = asked(call, services, '')
    assert (listing.limit, listing.marker, listing.sort, listing.filters) == (
        25,
        None,
        (('created_at', 'desc'),),
        {},
    )


@pytest.mark.parametrize(
    ('limit', 'used'),
    [
        ('0', 0),
        ('1', 1),
        ('1000', 1000),
        ('1001', 1000),
        ('0007', 7),
        ('1' + '0' * 30, 1000),
        ('9' * 5000, 1000),
        ('0' * 5000, 0),
    ],
)
def test_the_limit_is_cut_to_the_most_that_is_served(call, services, limit, used):
    assert asked(call, services, f'limit={limit}').limit == used


def test_next_stands_where_the_page_is_full(call, services):
    services.tasks.add()
    services.tasks.add(id=OTHER)
    links = call('GET', f'/v2/tasks?limit=2&marker={TASK}&status=pending&x=%26%20y').json
    assert links['first'] == '/v2/tasks?limit=2&status=pending&x=%26+y'
    assert links['next'] == f'/v2/tasks?limit=2&status=pending&x=%26+y&marker={OTHER}'
    assert 'next' not in call('GET', '/v2/tasks?limit=3').json
    assert 'next' not in call('GET', '/v2/tasks?limit=0').json


def test_next_counts_by_the_limit_that_is_used(call, make_app, services):
    services.tasks.add()
    app = make_app(api_limit_max=1)
    assert 'next' in call('GET', '/v2/tasks?limit=50', app=app).json
    assert 'next' in call('GET', '/v2/tasks', app=app).json


@pytest.mark.parametrize(
    'key',
    [
        'id',
        'type',
        'status',
        'owner',
        'image_id',
        'request_id',
        'user_id',
        'created_at',
        'updated_at',
        'expires_at',
    ],
)
def test_each_column_can_be_sorted_by(call, services, key):
    assert asked(call, services, f'sort_key={key}&sort_dir=asc').sort == ((key, 'asc'),)


@pytest.mark.parametrize(
    ('query', 'filters'),
    [
        ('status=success', {'status': 'success'}),
        ('type=import', {'type': 'import'}),
        ('type=api_image_import', {'type': 'api_image_import'}),
        ('type=location_import', {'type': 'location_import'}),
        (
            'owner=a&image_id=b&user_id=c&request_id=d&id=e',
            {'owner': 'a', 'image_id': 'b', 'user_id': 'c', 'request_id': 'd', 'id': 'e'},
        ),
        ('owner=', {'owner': ''}),
        ('owner=%C3%A9%01', {'owner': 'é\x01'}),
        ('expires_at=2026-02-02T12:00:00Z', {'expires_at': LATER}),
        ('created_at=2026-02-02T14:00:00%2B02:00', {'created_at': LATER}),
        ('colour=green&Deleted=true', {}),
    ],
)
def test_columns_filter_and_other_names_do_nothing(call, services, query, filters):
    assert asked(call, services, query).filters == filters


def test_no_field_of_a_task_is_ignored_as_a_filter(call, services):
    for name in call('GET', '/v2/schemas/task').json['properties']:
        answer = call('GET', f'/v2/tasks?{name}=2026-01-31')
        assert answer.status_int == 400 or services.tasks.listings.pop().filters, name


@pytest.mark.parametrize(
    'query',
    [
        'limit=-1',
        'limit=x',
        'limit=',
        'limit=1.0',
        'limit=+1',
        'limit=1_0',
        'limit=%00',
        'limit=%EF%BC%91',
        'limit=1&limit=2',
        'limit=%201',
        'marker=x',
        'marker=',
        'marker=%00',
        f'marker={TASK}%00',
        f'marker={TASK}%0a',
        f'marker={TASK}&marker={TASK}',
        'sort_key=colour',
        'sort_key=',
        'sort_key=id,type',
        'sort_key=input',
        'sort_key=deleted',
        'sort_key=id&sort_key=type',
        'sort_dir=up',
        'sort_dir=ASC',
        'sort_dir=',
        *(
            'deleted=true',
            'deleted=0',
            'deleted_at=',
            'input=x',
            'result=x',
            'message=x',
            'self=x',
        ),
        'status=new',
        'status=',
        'status=PENDING',
        'status=pending&status=success',
        'type=other',
        'type=',
        'owner=a&owner=b',
        'owner=%00',
        '%00=a',
        'created_at=yesterday',
        'created_at=',
        'created_at=0001-01-01T00:00:00%2B10:00',
        'owner=%ff',
        '%ff=x',
        'owner=%ED%A0%80',
        'a=1&' * 100 + 'b=1',
    ],
)
def test_a_query_that_cannot_be_used_is_refused(call, services, query):
    answer = call('GET', f'/v2/tasks?{query}', headers={'Accept': 'application/json'})
    assert answer.status_int == 400
    assert answer.json['message'].endswith('.')
    assert services.tasks.listings == []


@pytest.mark.parametrize('raw', ['owner=\xff', '\xff', 'limit=\u20ac'])
def test_a_query_of_raw_bytes_is_refused(call, raw):
    assert call('GET', '/v2/tasks', environ={'QUERY_STRING': raw}).status_int == 400


@pytest.mark.parametrize('raw', ['/v2/tasks/\xff', '\xff', '/v2/\u20ac'])
def test_a_path_of_raw_bytes_is_refused(call, raw):
    assert call('GET', '/', environ={'PATH_INFO': raw}).status_int == 400


@pytest.mark.parametrize('raw', ['', '*', 'http://localhost/v2/tasks', 'v2/tasks'])
@pytest.mark.parametrize('accept', ['', 'application/vnd.openstack.images-v2.9'])
def test_a_path_without_a_slash_is_no_fault_of_ours(call, raw, accept):
    answer = call('GET', '/', environ={'PATH_INFO': raw, 'HTTP_ACCEPT': accept})
    assert answer.status_int == (404 if raw else 300)


def test_the_tasks_of_an_image_are_whole_records(call, services):
    services.images.add()
    services.tasks.add(image_id=IMAGE, input=INPUT, request_id='req-1', expires_at=LATER)
    answer = call('GET', f'/v2/images/{IMAGE}/tasks')
    assert answer.json == {
        'tasks': [
            {
                'id': TASK,
                'type': 'import',
                'status': 'pending',
                'owner': 'default',
                'image_id': IMAGE,
                'request_id': 'req-1',
                'user_id': None,
                'input': INPUT,
                'result': None,
                'message': '',
                'progress': 0,
                'created_at': '2026-01-31T12:00:00.123456',
                'updated_at': '2026-01-31T12:00:00.123456',
                'expires_at': '2026-02-02T12:00:00.000000',
                'deleted_at': None,
                'deleted': False,
                'retry_of': None,
                'cancelled': False,
                'cancelled_at': None,
                'cancelled_by': None,
                'cancel_reason': None,
            }
        ]
    }


def test_an_image_may_have_no_tasks(call, services):
    services.images.add()
    assert call('GET', f'/v2/images/{IMAGE}/tasks').json == {'tasks': []}


def test_an_image_that_is_not_there_has_no_tasks(call):
    assert call('GET', f'/v2/images/{IMAGE}/tasks').status_int == 404


def test_who_sees_an_image_sees_its_tasks_without_access_to_the_tasks_api(
    call, make_app, services
):
    services.images.add()
    app = make_app(policy='tasks_api_access: "!"')
    assert call('GET', f'/v2/images/{IMAGE}/tasks', app=app).status_int == 200


def test_the_schema_of_a_task_names_every_field_that_is_shown(call, services):
    services.tasks.add(
        retry_of=OTHER,
        status=Status.FAILURE,
        expires_at=LATER,
        image_id=IMAGE,
        request_id='r',
        user_id='u',
        cancelled_at=LATER,
        cancelled_by='u',
        cancel_reason='no',
    )
    schema = call('GET', '/v2/schemas/task').json
    assert set(schema) == {'name', 'properties'}
    assert set(call('GET', f'/v2/tasks/{TASK}').json) == set(schema['properties'])
    assert schema['properties']['type']['enum'] == [
        'import',
        'api_image_import',
        'location_import',
    ]
    assert all(field['description'] for field in schema['properties'].values())


def test_the_schema_of_the_list_leaves_out_what_the_list_does(call):
    schema = call('GET', '/v2/schemas/tasks').json
    assert set(schema['properties']) == {'tasks', 'schema'}
    items = schema['properties']['tasks']['items']['properties']
    assert {'input', 'result', 'message', 'cancel_reason'}.isdisjoint(items)
    assert 'cancelled' in items
    assert schema['links'] == [{'rel': 'describedby', 'href': '{schema}'}]


def test_the_input_of_a_type_has_a_schema_of_its_own(call, services):
    assert call('GET', '/v2/schemas/tasks/import').json == {'name': 'import', 'type': 'object'}
    answer = call('GET', '/v2/schemas/tasks/scan', headers={'Accept': 'application/json'})
    assert (answer.status_code, answer.json['message']) == (404, 'There is no task type scan.')


def test_an_input_that_does_not_fit_its_schema_is_refused(call, services):
    services.tasks.type('import').input_schema = {
        'type': 'object',
        'required': ['depth'],
        'additionalProperties': False,
        'properties': {'depth': {'type': 'integer'}},
    }
    for given, fact in (
        ({}, '"input.depth" is missing.'),
        ({'depth': 'x'}, '"input.depth" must be a whole number.'),
        ({'depth': 1, 'other': 2}, '"input.other" is not known.'),
    ):
        answer = call(
            'POST',
            '/v2/tasks',
            json={'type': 'import', 'input': given},
            headers={'Accept': 'application/json'},
        )
        assert (answer.status_code, answer.json['message']) == (400, fact)


def test_a_schema_that_refers_to_nothing_is_no_fault_of_the_client(call, services, caplog):
    services.tasks.type('import').input_schema = {'$ref': 'http://127.0.0.1:1/schema'}
    answer = call(
        'POST',
        '/v2/tasks',
        json={'type': 'import', 'input': {}},
        headers={'Accept': 'application/json'},
    )
    assert answer.status_code == 500
    assert '"import"' in answer.json['message']
    assert 'The input schema of the task type "import" cannot be used' in caplog.text


def test_a_task_can_be_waited_for(call, services):
    services.tasks.add()
    answer = call('GET', f'/v2/tasks/{TASK}?wait=60')
    assert services.tasks.waits == [(60, False)]
    assert (answer.status_int, answer.content_type) == (200, 'application/json')
    assert answer.headers['Glance-Waited'] == '20'
    plain = call('GET', f'/v2/tasks/{TASK}')
    assert answer.body == plain.body
    assert 'Glance-Waited' not in plain.headers


def test_head_waits_too(call, services):
    services.tasks.add()
    answer = call('HEAD', f'/v2/tasks/{TASK}?wait=1')
    assert (answer.status_int, answer.body) == (200, b'')
    assert answer.headers['Glance-Waited'] == '0.3'


def test_not_to_wait_can_be_asked_for(call, services):
    services.tasks.add()
    assert call('GET', f'/v2/tasks/{TASK}?wait=0').headers['Glance-Waited'] == '0'
    assert call('GET', f'/v2/tasks/{TASK}?wait=120').status_int == 200


def test_who_waits_hears_whether_the_client_is_gone(call, services):
    services.tasks.add()
    call('GET', f'/v2/tasks/{TASK}?wait=1', environ={'glance.client_is_gone': lambda: True})
    assert services.tasks.waits == [(1, True)]


@pytest.mark.parametrize(
    'wait', ['', '-1', '121', '1.5', '1e1', 'x', '9' * 5000, '1&wait=1', '+1']
)
def test_a_wait_that_cannot_be_is_refused_by_its_name(call, services, wait):
    services.tasks.add()
    answer = call('GET', f'/v2/tasks/{TASK}?wait={wait}', headers={'Accept': 'application/json'})
    assert answer.status_int == 400
    assert '"wait"' in answer.json['message']
    assert services.tasks.waits == []


def test_policy_decides_before_a_wait_begins(call, make_app, services):
    services.tasks.add()
    for rule in ('get_task', 'tasks_api_access'):
        app = make_app(policy=f'{rule}: "!"')
        assert call('GET', f'/v2/tasks/{TASK}?wait=x', app=app).status_int == 403
    assert services.tasks.waits == []


@pytest.mark.parametrize('rule', ['add_task', 'tasks_api_access'])
def test_who_may_not_create_tasks_may_not_repeat_them(call, make_app, services, rule):
    app = make_app(policy=f'{rule}: "!"')
    assert call('POST', f'/v2/tasks/{OTHER}/retry', app=app).status_int == 403


@pytest.mark.parametrize('key', ['', 'x' * 256, 'a\tb', 'gr\xfcn', 'a\x7f'])
def test_a_key_that_cannot_be_is_refused_by_its_name(call, services, key):
    answer = create(
        call, environ={'HTTP_IDEMPOTENCY_KEY': key}, headers={'Accept': 'application/json'}
    )
    assert answer.status_int == 400
    assert '"Idempotency-Key"' in answer.json['message']
    assert services.tasks.kept == {}


def test_a_retry_takes_no_body(call, services):
    services.tasks.add(status=Status.FAILURE)
    assert call('POST', f'/v2/tasks/{TASK}/retry', json={}).status_int == 400
