"""Request bodies, friendly and hostile, by way of POST /v2/tasks."""

import io
import json

import pytest

TASK = '11111111-1111-4111-8111-111111111111'
IMAGE = '22222222-2222-4222-8222-222222222222'
GOOD = b'{"type": "import", "input": {}}'
JSON = {'Content-Type': 'application/json', 'Accept': 'application/json'}


@pytest.fixture
def post(call):
    def ask(body, **parts):
        return call('POST', '/v2/tasks', body=body, headers=JSON, **parts)

    return ask


def chunked(body):
    """A body that is not announced, from a server that gives it in small pieces."""

    class Slow(io.BytesIO):
        taken = 0

        def read(self, count=-1):
            piece = super().read(min(count, 1000) if count >= 0 else 1000)
            self.taken += len(piece)
            return piece

    return {
        'wsgi.input': Slow(body),
        'HTTP_TRANSFER_ENCODING': 'chunked',
        'CONTENT_LENGTH': '',
        'REQUEST_METHOD': 'POST',
    }


@pytest.mark.parametrize(
    'kind',
    [
        None,
        'text/plain',
        'application/x-www-form-urlencoded',
        'multipart/form-data',
        'application/json-patch+json',
        'application/octet-stream',
        'json',
        ';',
    ],
)
def test_only_what_is_called_json_is_read(call, services, kind):
    headers = {'Content-Type': kind} if kind else {}
    answer = call('POST', '/v2/tasks', body=GOOD, headers=headers)
    assert answer.status_int == 415
    assert services.tasks.kept == {}


@pytest.mark.parametrize(
    'kind', ['application/json', 'application/json; charset=UTF-8', 'Application/JSON']
)
def test_json_may_say_its_charset(call, kind):
    answer = call('POST', '/v2/tasks', body=GOOD, headers={'Content-Type': kind})
    assert answer.status_int == 201


@pytest.mark.parametrize(
    ('body', 'fact'),
    [
        (b'', 'The body is missing.'),
        (b'   ', 'not JSON'),
        (b'{', 'not JSON: Expecting property name'),
        (b'{"type": "import", "input": {}} {}', 'not JSON: Extra data'),
        (b"{'type': 1}", 'not JSON'),
        (b'\xff\xfe', 'not UTF-8: byte 0 is wrong'),
        (b'{"type": "caf\xe9", "input": {}}', 'not UTF-8: byte 13 is wrong'),
        (b'\xef\xbb\xbf[]', 'The body must be an object.'),
        (b'\xef\xbb\xbf\xef\xbb\xbf{}', 'not JSON'),
        ('{"type": "import"}'.encode('utf-16'), 'not UTF-8'),
        (b'[]', 'The body must be an object.'),
        (b'null', 'The body must be an object.'),
        (b'"import"', 'The body must be an object.'),
        (b'12', 'The body must be an object.'),
        (b'{"type": "import", "input": {"size": NaN}}', 'NaN is not a number'),
        (b'{"type": "import", "input": {"size": -Infinity}}', '-Infinity is not a number'),
        (b'{"type": "import", "input": {"size": 1e999}}', 'a number is too large'),
        (b'{"type": "import", "input": {"size": %s}}' % (b'9' * 5000), 'not JSON'),
        (b'{"type": "import", "input": {"a": "\\ud800"}}', 'half a surrogate pair'),
        (b'{"type": "import", "input": {"\\uDFFF": 1}}', 'half a surrogate pair'),
        (b'{"type": "im\\ud800port", "input": {}}', 'half a surrogate pair'),
        (b'[' * 30000, 'more than 100 levels'),
        (
            b'{"type": "import", "input": ' + b'{"a": ' * 9000 + b'1' + b'}' * 9001,
            'more than 100 levels',
        ),
        (
            b'{"type": "import", "input": {"a": ' + b'[' * 100 + b']' * 100 + b'}}',
            'more than 100 levels',
        ),
        (b'{"input": {}}', '"type" is missing.'),
        (b'{"type": "import"}', '"input" is missing.'),
        (b'{"type": 5, "input": {}}', '"type" must be text.'),
        (b'{"type": null, "input": {}}', '"type" must be text.'),
        (b'{"type": "import", "input": null}', '"input" must be an object.'),
        (b'{"type": "import", "input": []}', '"input" must be an object.'),
        (b'{"type": "import", "input": "x"}', '"input" must be an object.'),
        (b'{"type": "import", "input": {}, "colour": 1}', '"colour" is not known.'),
        (b'{"type": "import", "input": {}, "%s": 1}' % (b'x' * 60000), ' is not known.'),
        (b'{"type": "import", "input": {}, "owner": 5}', '"owner" must be text.'),
        (b'{"type": "import", "input": {}, "id": "5"}', '"id" does not fit the rule pattern'),
        (b'{"type": "import", "input": {}, "status": "new"}', '"status" must be one of pending,'),
        (b'{"type": "import", "input": {}, "result": 1}', '"result" must be null or an object.'),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_name(post, services, body, fact):
    answer = post(body)
    assert answer.status_int == 400
    assert fact in answer.json['message']
    assert len(answer.json['message']) < 400
    assert services.tasks.kept == {}


@pytest.mark.parametrize(
    'body',
    [
        b'{"type": "wrong", "type": "import", "input": {}}',
        b'{"type": "import", "input": {"a": "\\ud83d\\ude00 \\u0000"}}',
        '{"type": "import", "input": {"a": "é😀"}}'.encode(),
        b'{"type": "import", "input": {"a": ' + b'[' * 98 + b']' * 98 + b'}}',
        b'{"type": "import", "input": {"a": [' + b'[],' * 5000 + b'[]]}}',
        b'{"type": "import", "input": {"n": 123456789012345678901234567890, "f": 1e-999}}',
        b'{"type": "import", "input": {}, "owner": "theirs", "message": "", "expires_at": null,'
        b' "result": {}, "status": "success", "self": "", "schema": ""}',
    ],
)
def test_what_is_odd_but_can_be_used_is_accepted(post, body):
    answer = post(body)
    assert answer.status_int == 201
    assert answer.json['input'] == json.loads(body)['input']


def test_fields_of_a_task_that_nobody_can_choose_are_ignored(post):
    answer = post(
        json.dumps(
            {
                'type': 'import',
                'input': {},
                'owner': 'theirs',
                'status': 'success',
                'message': 'mine',
            }
        ).encode()
    )
    assert (answer.json['owner'], answer.json['status'], answer.json['message']) == (
        'default',
        'pending',
        '',
    )


def test_a_body_at_the_limit_is_read_and_one_byte_more_is_not(call, make_app):
    app = make_app(max_json_body_size=1024)
    for size, status in ((1024, 201), (1025, 413)):
        answer = call('POST', '/v2/tasks', app=app, body=GOOD.ljust(size), headers=JSON)
        assert answer.status_int == status


def test_a_body_that_is_announced_too_large_is_not_touched(call):
    class Untouchable(io.BytesIO):
        def read(self, *_):
            raise AssertionError

    answer = call(
        'POST',
        '/v2/tasks',
        headers=JSON,
        environ={'wsgi.input': Untouchable(), 'CONTENT_LENGTH': '999999999999999999999999'},
    )
    assert answer.status_int == 413
    assert '65536 bytes' in answer.json['message']


def test_a_chunked_body_is_read(call):
    answer = call('POST', '/v2/tasks', headers=JSON, environ=chunked(GOOD.ljust(5000)))
    assert answer.status_int == 201


def test_a_chunked_body_is_given_up_at_the_limit(call):
    endless = chunked(b' ' * 10_000_000)
    assert call('POST', '/v2/tasks', headers=JSON, environ=endless).status_int == 413
    assert endless['wsgi.input'].taken == 65537


@pytest.mark.parametrize('length', ['-1', 'abc', '1.5', '0x10', '\uff11\uff12', '1 2'])
def test_a_content_length_that_is_no_number_is_refused(call, length):
    answer = call('POST', '/v2/tasks', headers=JSON, environ={'CONTENT_LENGTH': length})
    assert answer.status_int == 400


def test_a_body_that_ends_early_is_refused(call):
    answer = call(
        'POST',
        '/v2/tasks',
        headers=JSON,
        environ={'wsgi.input': io.BytesIO(GOOD), 'CONTENT_LENGTH': '500'},
    )
    assert answer.status_int == 400
    assert 'ends before its Content-Length' in answer.json['message']


@pytest.mark.parametrize('error', [ConnectionResetError(), OSError(), ValueError('bad chunk')])
def test_a_body_that_breaks_off_is_refused(call, error):
    class Broken(io.BytesIO):
        def read(self, *_):
            raise error

    answer = call(
        'POST', '/v2/tasks', headers=JSON, environ=chunked(b'') | {'wsgi.input': Broken()}
    )
    assert answer.status_int == 400


@pytest.mark.parametrize('url', ['', '/tasks', '/file'])
def test_calls_without_a_body_refuse_one(call, services, url):
    services.images.add(b'bits')
    for parts in ({'body': b'{}'}, {'environ': chunked(b'{}') | {'REQUEST_METHOD': 'GET'}}):
        answer = call('GET', f'/v2/images/{IMAGE}{url}', **parts)
        assert answer.status_int == 400
    answer = call(
        'GET', f'/v2/images/{IMAGE}{url}', environ=chunked(b'') | {'REQUEST_METHOD': 'GET'}
    )
    assert answer.status_int == 200


def test_deleting_with_a_body_is_refused(call, services):
    services.images.add(b'bits')
    assert call('DELETE', f'/v2/images/{IMAGE}', body=b'{}').status_int == 400
    assert IMAGE in services.images.kept
