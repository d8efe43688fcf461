"""What is true of every request: the pipeline, the table of routes, the forms of errors."""

import json
import logging
import os

import pytest
import webob

from glance.api import routes
from glance.api.policies import enforcer
from glance.domain import errors

TASK = '11111111-1111-4111-8111-111111111111'
IMAGE = '22222222-2222-4222-8222-222222222222'


@pytest.mark.parametrize(
    'url',
    ['/', '/healthcheck', '/nothing', '/v2/tasks', f'/v2/tasks/{TASK}', '/v2/images?limit=x'],
)
def test_every_answer_has_a_request_id(call, url):
    assert call('GET', url).headers['x-openstack-request-id'].startswith('req-')


def test_two_requests_have_two_ids(call):
    ids = {call('GET', '/v2/tasks').headers['x-openstack-request-id'] for _ in range(2)}
    assert len(ids) == 2


@pytest.mark.parametrize(('length', 'status'), [(64, 200), (65, 431)])
def test_a_request_id_of_the_caller_has_a_longest_length(call, length, status):
    headers = {'X-OpenStack-Request-ID': 'r' * length}
    assert call('GET', '/v2/tasks', headers=headers).status_int == status


def test_zero_lets_any_length_of_request_id_pass(call, make_app):
    headers = {'X-OpenStack-Request-ID': 'r' * 5000}
    app = make_app(max_request_id_length=0)
    assert call('GET', '/v2/tasks', app=app, headers=headers).status_int == 200


def test_the_health_check_says_ok(call):
    answer = call('GET', '/healthcheck', headers={'Accept': 'text/plain'})
    assert (answer.status_int, answer.text.strip()) == (200, 'OK')


def test_the_health_check_can_be_switched_off_by_a_file(call, make_app, tmp_path):
    app = make_app(healthcheck__disable_by_file_path=str(tmp_path / 'drain'))
    assert call('GET', '/healthcheck', app=app).status_int == 200
    (tmp_path / 'drain').touch()
    answer = call('GET', '/healthcheck', app=app, headers={'Accept': 'text/plain'})
    assert (answer.status_int, answer.text.strip()) == (503, 'DISABLED BY FILE')


@pytest.mark.parametrize('form', ['text/plain', 'text/html', 'application/json'])
@pytest.mark.parametrize('is_detailed', [True, False])
def test_the_detailed_health_check_says_what_tasks_wait_for(
    call, make_app, services, form, is_detailed
):
    """That is not unhealthy: tasks are accepted all the same."""
    services.tasks.lacking = ['No worker has announced itself']
    app = make_app(healthcheck__detailed=is_detailed)
    answer = call('GET', '/healthcheck', app=app, headers={'Accept': form})
    assert answer.status_int == 200
    assert ('No worker has announced itself' in answer.text) == is_detailed


@pytest.mark.parametrize('method', ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
def test_the_health_check_can_only_be_read(call, make_app, tmp_path, method):
    app = make_app(healthcheck__disable_by_file_path=str(tmp_path / 'drain'))
    for _ in range(2):
        answer = call(method, '/healthcheck', app=app, headers={'Accept': 'text/plain'})
        assert answer.status_int == (204 if method == 'OPTIONS' else 405)
        assert answer.headers['Allow'] == 'GET, HEAD, OPTIONS'
        assert answer.headers['x-openstack-request-id']
        (tmp_path / 'drain').touch()


def test_the_health_check_answers_to_any_name(call):
    assert call('GET', '/healthcheck', headers={'Host': 'balancer'}).status_int == 200


@pytest.mark.parametrize(('url', 'status'), [('/', 300), ('/versions', 200), ('/versions/', 200)])
def test_the_versions_are_listed_newest_first_with_one_current(call, url, status):
    answer = call('GET', url)
    assert answer.status_int == status
    listed = answer.json['versions']
    assert [each['id'] for each in listed] == [
        f'v2.{minor}' for minor in (17, 15, 12, 9, 7, 6, 5, 4, 3, 2, 1, 0)
    ]
    assert [each['status'] for each in listed] == ['CURRENT'] + ['SUPPORTED'] * 11
    assert listed[0]['links'] == [{'rel': 'self', 'href': 'http://localhost/v2/'}]


def test_links_of_versions_follow_public_endpoint(call, make_app):
    app = make_app(public_endpoint='https://images.example:8443/glance/')
    links = call('GET', '/', app=app).json['versions'][0]['links']
    assert links[0]['href'] == 'https://images.example:8443/glance/v2/'


@pytest.mark.parametrize('url', ['/v1', '/v1/images', '/v3/tasks', '/v2.99/images', '/v20'])
def test_another_version_is_answered_with_those_there_are(call, url):
    answer = call('GET', url)
    assert answer.status_int == 300
    assert 'versions' in answer.json


@pytest.mark.parametrize('url', ['/v2.7/tasks', '/v2.17/tasks', '/v2/tasks'])
def test_a_supported_minor_version_is_version_two(call, url):
    assert call('GET', url).json['first'] == '/v2/tasks'


@pytest.mark.parametrize(
    ('url', 'version', 'status'),
    [
        ('/tasks', 'v2.9', 200),
        ('/tasks', 'v2', 200),
        ('/tasks', 'v7', 300),
        ('/', 'v2.9', 300),
        ('/versions', 'v2.9', 200),
    ],
)
def test_the_version_may_stand_in_accept(call, url, version, status):
    headers = {'Accept': f'application/vnd.openstack.images-{version}'}
    assert call('GET', url, headers=headers).status_int == status


@pytest.mark.parametrize(
    'url',
    [
        '/nothing',
        '/v2',
        '/v2/',
        '/v2/nothing',
        '/v2/tasks/',
        '//v2/tasks',
        '/v2/metadefs',
        '/v2/metadefs/namespaces',
        '/v2/schemas/metadefs/namespace',
        '/v2/schemas/nothing',
        f'/v2/tasks/{TASK}/nothing',
        f'/v2/images/{IMAGE}/file/',
        '/v2/tasks/{task_id}',
    ],
)
@pytest.mark.parametrize('method', ['GET', 'POST', 'DELETE'])
def test_an_unknown_path_is_not_found(call, method, url):
    if url != '/v2/schemas/nothing' or method == 'GET':
        assert call(method, url).status_int == 404


@pytest.mark.parametrize(
    ('method', 'url', 'allow'),
    [
        ('PUT', '/v2/tasks', 'GET, POST, HEAD, OPTIONS'),
        ('DELETE', f'/v2/tasks/{TASK}', 'GET, HEAD, OPTIONS'),
        ('PATCH', f'/v2/tasks/{TASK}', 'GET, DELETE, HEAD, OPTIONS'),
        ('HEAD', f'/v2/images/{IMAGE}/stage', 'PUT, OPTIONS'),
        ('POST', f'/v2/images/{IMAGE}', 'GET, PATCH, DELETE, HEAD, OPTIONS'),
        ('POST', '/', 'GET, HEAD, OPTIONS'),
    ],
)
def test_a_wrong_method_names_the_right_ones(call, method, url, allow):
    answer = call(method, url)
    assert answer.status_int == 405
    assert answer.headers['Allow'] == allow


@pytest.mark.parametrize(
    ('url', 'allow'),
    [
        ('/', 'GET, HEAD, OPTIONS'),
        ('/v2/tasks', 'GET, POST, HEAD, OPTIONS'),
        (f'/v2/images/{IMAGE}/file', 'GET, PUT, HEAD, OPTIONS'),
        (f'/v2/images/{IMAGE}/stage', 'PUT, OPTIONS'),
        ('/v2/schemas/task', 'GET, HEAD, OPTIONS'),
    ],
)
def test_options_names_what_can_be_asked(call, url, allow):
    answer = call('OPTIONS', url)
    assert (answer.status_int, answer.body) == (204, b'')
    assert answer.headers['Allow'] == allow


def test_options_of_the_whole_server_and_of_nothing(call):
    answer = call('OPTIONS', '/', environ={'PATH_INFO': '*'})
    assert answer.status_int == 204
    assert set(answer.headers['Allow'].split(', ')) == set(routes.METHODS)
    assert call('OPTIONS', '/nothing').status_int == 404


@pytest.mark.parametrize(
    'url',
    [
        *('/', '/versions', '/v3', '/v2/schemas/task', '/v2/schemas/nothing', '/v2/tasks'),
        *('/v2/images', f'/v2/tasks/{TASK}', '/v2/tasks?limit=x', '/nothing', '/healthcheck'),
        *(f'/v2/tasks/{IMAGE}', f'/v2/images/{TASK}/file', '/v2/cache/clean'),  # 404, 404, 405
        *('/v2/cache', '/v2/tasks/x', f'/v2/images/{IMAGE}/stage'),  # 501, 404, 405
    ],
)
def test_head_answers_as_get_without_the_body(call, url):
    got, head = call('GET', url), call('HEAD', url)
    assert got.body
    assert head.body == b''
    same = ('Content-Type', 'Content-Length') if url != '/healthcheck' else ()
    assert [head.headers[name] for name in same] == [got.headers[name] for name in same]
    assert head.status == ('204 No Content' if url == '/healthcheck' else got.status)


@pytest.mark.parametrize('method', ['BREW', 'get', 'PROPFIND', 'TRACE'])
@pytest.mark.parametrize('url', ['/v2/tasks', '/nothing', '/', '/healthcheck'])
def test_an_unknown_method_is_not_implemented(call, method, url):
    assert call(method, url).status_int == 501


@pytest.mark.parametrize(
    ('method', 'url'),
    [
        ('POST', '/v2/images'),
        ('PATCH', f'/v2/images/{IMAGE}'),
        ('PUT', f'/v2/images/{IMAGE}/file'),
        ('PUT', f'/v2/images/{IMAGE}/stage'),
        ('POST', f'/v2/images/{IMAGE}/import'),
        ('POST', f'/v2/images/{IMAGE}/actions/deactivate'),
        ('GET', f'/v2/images/{IMAGE}/members'),
        ('PUT', f'/v2/images/{IMAGE}/members/somebody'),
        ('DELETE', f'/v2/images/{IMAGE}/tags/linux'),
        ('GET', f'/v2/images/{IMAGE}/locations'),
        ('DELETE', f'/v2/stores/fast/{IMAGE}'),
        ('GET', '/v2/info/import'),
        ('GET', '/v2/info/stores/detail'),
        ('GET', '/v2/cache'),
        ('POST', '/v2/cache/clean'),
    ],
)
def test_what_is_not_built_says_so(call, method, url):
    answer = call(method, url, headers={'Accept': 'application/json'})
    assert answer.status_int == 501
    assert 'is not built yet.' in answer.json['message']


def test_large_image_data_are_told_that_upload_is_not_built(call):
    answer = call(
        'PUT',
        f'/v2/images/{IMAGE}/file',
        headers={'Content-Type': 'application/octet-stream', 'Content-Length': '5000000'},
    )
    assert answer.status_int == 501


@pytest.mark.parametrize(
    'accept', ['*/*', 'text/html', 'application/json, */*', 'application/xhtml+xml']
)
def test_an_error_is_a_page_for_who_takes_pages(call, accept):
    answer = call('GET', '/<script>alert(1)</script>', headers={'Accept': accept})
    assert answer.content_type == 'text/html'
    assert answer.text.count('404 Not Found') == 2
    assert '<script>' not in answer.text
    assert '&lt;script&gt;' in answer.text


def test_an_error_is_json_for_who_takes_json(call):
    answer = call('GET', f'/v2/tasks/{TASK}', headers={'Accept': 'application/json'})
    assert answer.content_type == 'application/json'
    assert answer.json == {
        'message': f'There is no task {TASK}.',
        'code': '404 Not Found',
        'title': 'Not Found',
    }


@pytest.mark.parametrize('accept', [None, '', 'text/plain', 'image/png'])
def test_an_error_is_text_for_all_others(call, accept):
    headers = {} if accept is None else {'Accept': accept}
    answer = call('GET', f'/v2/tasks/{TASK}', headers=headers)
    assert answer.content_type == 'text/plain'
    assert answer.text == f'404 Not Found\n\nThere is no task {TASK}.\n'


@pytest.mark.parametrize(
    ('error', 'status'),
    [
        (errors.Invalid('So.'), 400),
        (errors.SourceRefused('So.'), 400),
        (errors.SourceUnreachable('So.'), 400),
        (errors.Forbidden('So.'), 403),
        (errors.TaskNotFound('t'), 404),
        (errors.ImageExists('i'), 409),
        (errors.WrongTransition('Task t', 'success', 'pending'), 409),
        (errors.TooLarge('So.'), 413),
        (errors.DatabaseUnavailable(), 503),
    ],
)
def test_each_kind_of_error_has_its_status_and_keeps_its_sentence(call, services, error, status):
    services.tasks.error = error
    answer = call('GET', f'/v2/tasks/{TASK}', headers={'Accept': 'application/json'})
    assert answer.status_int == status
    assert answer.json['message'] == str(error)


@pytest.mark.parametrize('error', [ValueError('secret'), errors.ConfigError('secret')])
def test_what_nobody_expected_is_told_to_the_log_only_and_once(call, services, caplog, error):
    services.tasks.error = error
    answer = call('GET', f'/v2/tasks/{TASK}')
    assert answer.status_int == 500
    assert 'secret' not in answer.text
    assert 'Traceback' not in answer.text
    assert answer.headers['x-openstack-request-id']
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.action for record in logged] == ['request_failed']
    assert logged[0].exc_info[1] is error


@pytest.mark.parametrize(
    'host',
    [
        'localhost',
        'LOCALHOST:9292',
        '127.0.0.1',
        '127.0.0.1:80',
        '127.8.9.10:1',
        '[::1]',
        '[::1]:9292',
        '10.1.2.3:9292',
        'images.example',
        'Images.Example:8443',
    ],
)
def test_without_identities_our_own_names_are_answered(call, make_app, host):
    app = make_app(bind_host='10.1.2.3', public_endpoint='https://images.example:1')
    assert call('GET', '/v2/tasks', app=app, headers={'Host': host}).status_int == 200


@pytest.mark.parametrize(
    'host',
    [
        'evil.example',
        'evil.example:9292',
        'localhost.evil.example',
        '127.0.0.1.evil.example',
        '10.1.2.3',
        '[::2]',
        '[::1',
        '::1:evil',
        '0x7f.1',
        '2130706433',
        'localhost@evil',
        '\xe9',
        '@',
        '<script>',
    ],
)
def test_without_identities_other_names_are_refused(call, host):
    answer = call('GET', '/v2/tasks', headers={'Host': host})
    assert answer.status_int == 403
    assert 'noauth_allow_remote' in answer.text
    assert '<script>' not in answer.text or answer.content_type == 'text/plain'


def test_any_name_is_answered_when_that_is_wanted(call, make_app):
    app = make_app(noauth_allow_remote=True)
    assert call('GET', '/v2/tasks', app=app, headers={'Host': 'anything'}).status_int == 200


def test_a_client_too_old_for_a_host_header_is_answered(call, api):
    request = webob.Request.blank('/v2/tasks')
    del request.environ['HTTP_HOST']
    assert request.get_response(api).status_int == 200


def test_the_caller_is_an_administrator_of_the_project(call, make_app, services):
    call(
        'POST',
        '/v2/tasks',
        app=make_app(noauth_project='mine'),
        json={'type': 'import', 'input': {}},
    )
    assert services.tasks.kept[TASK].owner == 'mine'


def test_identity_headers_of_the_request_change_nothing(call, make_app, services):
    call(
        'POST',
        '/v2/tasks',
        app=make_app(),
        headers={
            'X-Project-Id': 'theirs',
            'X-Tenant-Id': 'theirs',
            'X-User-Id': 'them',
            'X-Auth-Token': 't',
            'X-Roles': '',
        },
        json={'type': 'import', 'input': {}},
    )
    assert services.tasks.kept[TASK].owner == 'default'
    assert services.tasks.kept[TASK].user_id is None


def test_policy_is_asked_before_body_and_query_are_looked_at(call, make_app):
    app = make_app(policy='tasks_api_access: "!"')
    assert call('POST', '/v2/tasks', app=app, body=b'{').status_int == 403
    assert call('GET', '/v2/tasks?limit=x', app=app).status_int == 403
    assert call('GET', f'/v2/tasks/{TASK}', app=app).status_int == 403
    assert call('DELETE', f'/v2/tasks/{TASK}', app=app).status_int == 403


@pytest.mark.parametrize(
    ('rule', 'method', 'url'),
    [
        ('add_task', 'POST', '/v2/tasks'),
        ('get_tasks', 'GET', '/v2/tasks'),
        ('get_task', 'GET', f'/v2/tasks/{TASK}'),
        ('get_images', 'GET', '/v2/images'),
        ('delete_image', 'DELETE', f'/v2/images/{IMAGE}'),
        ('download_image', 'GET', f'/v2/images/{IMAGE}/file'),
    ],
)
def test_each_rule_can_be_closed_by_the_operator(call, make_app, services, rule, method, url):
    services.images.add(b'bits')
    app = make_app(policy=f'{rule}: "!"')
    answer = call(method, url, app=app, headers={'Accept': 'application/json'})
    assert answer.status_int == 403
    assert answer.json['message'] == f'Policy {rule} does not allow you this.'


@pytest.mark.parametrize('url', ['', '/tasks', '/file'])
def test_an_image_that_policy_hides_is_not_found(call, make_app, services, url):
    services.images.add(b'bits')
    app = make_app(policy='get_image: "!"')
    assert call('GET', f'/v2/images/{IMAGE}{url}', app=app).status_int == 404
    assert call('DELETE', f'/v2/images/{IMAGE}', app=app).status_int == 404


def test_policy_can_tell_images_apart(call, make_app, services):
    services.images.add(id='i1', visibility='public', owner='theirs')
    services.images.add(id='i2', visibility='shared', owner='theirs')
    services.images.add(id='i3', visibility='shared', owner='default')
    app = make_app(policy='context_is_admin: "!"')
    shown = call('GET', '/v2/images', app=app).json['images']
    assert [image['id'] for image in shown] == ['i1', 'i3']


def test_members_read_and_delete_their_own_images_only(call, make_app, services):
    services.images.add(b'bits', owner='theirs', visibility='public')
    app = make_app(policy='context_is_admin: "!"')
    assert call('GET', f'/v2/images/{IMAGE}/file', app=app).status_int == 200
    assert call('DELETE', f'/v2/images/{IMAGE}', app=app).status_int == 403
    services.images.add(b'bits')
    assert call('DELETE', f'/v2/images/{IMAGE}', app=app).status_int == 204


def test_a_policy_file_that_is_named_must_be_there(make_app):
    with pytest.raises(errors.ConfigError, match=r'/no/such/policy\.yaml does not exist'):
        make_app(oslo_policy__policy_file='/no/such/policy.yaml')


@pytest.mark.parametrize('rule', ['role:admin and (', 'admin', 'role:admin or', '%'])
def test_a_rule_that_cannot_be_parsed_refuses_the_start_in_one_line(make_app, caplog, rule):
    with pytest.raises(errors.ConfigError, match=r'policy_file = .*: ') as refused:
        make_app(policy=json.dumps({'get_image': rule}))
    assert '\n' not in str(refused.value)
    assert caplog.records == []


def test_rules_that_nothing_uses_are_named(make_app, caplog):
    make_app(
        policy=json.dumps(
            {
                'get_imag': 'role:admin',
                'publicize_image': 'role:admin',
                'owners': 'role:member',
                'others': 'role:reader',
                'get_image': 'rule:owners or (rule:others)',
            }
        )
    )
    [line] = caplog.messages
    assert line.endswith(
        'has rules that this service does not use: get_imag (did you mean get_image?), '
        'publicize_image'
    )


def test_a_policy_file_that_becomes_unusable_leaves_the_policies(call, make_app, tmp_path, caplog):
    app = make_app(policy='get_tasks: "!"', policy_interval=0)
    (tmp_path / 'policy.yaml').write_text('get_tasks: [')
    os.utime(tmp_path / 'policy.yaml', (2**31, 2**31))
    assert call('GET', '/v2/tasks', app=app).status_int == 403
    [record] = caplog.records
    assert record.getMessage().startswith('The policies stay as they were: ')
    assert record.exc_info is None
    assert call('GET', '/v2/tasks', app=app).status_int == 403


@pytest.mark.parametrize(
    ('overrides', 'fact'),
    [
        (
            {'backends': ['nothing']},
            r'\[healthcheck\] backends = nothing is not known; there are ',
        ),
        ({'allowed_source_ranges': ['all']}, r'\[healthcheck\] cannot be used: .*all'),
        ({'backends': ['disable_by_file', 'enable_by_files']}, r'\[healthcheck\] cannot be used'),
    ],
)
def test_a_healthcheck_that_cannot_check_refuses_the_start(make_app, overrides, fact):
    with pytest.raises(errors.ConfigError, match=fact):
        make_app(**{f'healthcheck__{name}': value for name, value in overrides.items()})


def test_a_policy_file_must_be_readable_as_one(make_app):
    with pytest.raises(errors.ConfigError, match='policy_file'):
        make_app(policy='- a\n- list\n')


def test_policy_is_looked_at_again_while_the_service_runs(call, make_app, tmp_path):
    app = make_app(policy='tasks_api_access: "@"', policy_interval=0)
    assert call('GET', '/v2/tasks', app=app).status_int == 200
    (tmp_path / 'policy.yaml').write_text('tasks_api_access: "!"')
    os.utime(tmp_path / 'policy.yaml', (2**31, 2**31))
    assert call('GET', '/v2/tasks', app=app).status_int == 403


def test_each_rule_is_there_for_the_generators():
    names = [rule.name for rule in enforcer.list_rules()]
    assert len(names) == len(set(names))
    assert {'context_is_admin', 'tasks_api_access', 'get_image', 'download_image'} <= set(names)


def test_the_table_says_nothing_twice():
    assert all(url == '/' or url.startswith(('/v2/', '/versions')) for url in routes.ROUTES)
    assert all(set(functions) <= routes.METHODS for functions in routes.ROUTES.values())


def test_two_configurations_live_in_one_process(call, make_app, services):
    one, two = make_app(limit_param_default=1), make_app(api_limit_max=3)
    for app in (one, two):
        call('GET', '/v2/tasks', app=app)
    assert [listing.limit for listing in services.tasks.listings] == [1, 3]
