"""What the application sees of requests is the same under each server that the guide names.

Each server is started once for all tests here: see SHARE_SERVERS in tests/conftest.py.
What servers do with malformed heads is in a table of doc/source/deployment.rst; that of
glance-api is tested in tests/unit/server/test_wire.py.
"""

import contextlib
import json
import socket

import pytest

from . import wire_fuzzer
from .conftest import Api
from .test_wsgi_servers import SERVERS, Server, program

pytestmark = pytest.mark.once

TASK = json.dumps(
    {
        'type': 'import',
        'input': {
            'import_from': 'http://127.0.0.1:9/nothing',
            'import_from_format': 'raw',
            'image_properties': {},
        },
    }
).encode()
POST = b'POST /v2/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n'
NO_TASK = '11111111-1111-4111-8111-111111111111'


@pytest.fixture(
    scope='module',
    params=[
        'glance-api',
        pytest.param('uwsgi', marks=pytest.mark.soak),
        pytest.param('gunicorn', marks=pytest.mark.soak),
    ],
)
def server(request, tmp_path_factory, missing):
    name = request.param
    if name in SERVERS and program(name) is None:
        missing(f'There is no {name} here.')
    folder = tmp_path_factory.mktemp(name)
    config = folder / 'glance-api.conf'
    config.write_text(
        f'[DEFAULT]\nstate_path = {folder}/state\nbind_port = 0\n[task]\nconduct = false\n'
        '[import_filtering_opts]\nallowed_hosts = 127.0.0.1\nallowed_ports = 9\n'
    )
    if name in SERVERS:
        server = Server(SERVERS[name], config, folder / 'log')
    else:
        server = Api(config, folder / 'log')
    try:
        yield server.await_ready()
    finally:
        server.end()


@pytest.fixture
def ask(server):
    """ask(request): (status, headers in small letters, body) of one answer."""

    def asked(request):
        with socket.create_connection(('127.0.0.1', server.port)) as client:
            client.settimeout(30)
            client.sendall(request.replace(b'\r\n\r\n', b'\r\nConnection: close\r\n\r\n', 1))
            received = b''
            with contextlib.suppress(ConnectionError):
                while piece := client.recv(65536):
                    received += piece
        if received.startswith(b'HTTP/1.1 100'):
            received = received.partition(b'\r\n\r\n')[2]
        head, _, body = received.partition(b'\r\n\r\n')
        lines = head.decode('latin-1').split('\r\n')[1:]
        headers = dict(line.lower().split(': ', 1) for line in lines)
        if headers.get('transfer-encoding') == 'chunked':
            body = joined(body)
        return int(head.split()[1]), headers, body

    return asked


def joined(body):
    """What is in the chunks of an answer."""
    whole = b''
    while body:
        size, _, body = body.partition(b'\r\n')
        whole += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return whole


def in_chunks(data, size):
    pieces = [data[first : first + size] for first in range(0, len(data), size)]
    return b''.join(b'%x\r\n%b\r\n' % (len(piece), piece) for piece in pieces) + b'0\r\n\r\n'


@pytest.mark.parametrize('size', [1, 7, 4096])
@pytest.mark.parametrize('more', [b'', b'Expect: 100-continue\r\n'])
def test_a_body_in_chunks_is_read(ask, size, more):
    status, _, body = ask(
        POST + more + b'Transfer-Encoding: chunked\r\n\r\n' + in_chunks(TASK, size)
    )
    assert status == 201, body
    assert json.loads(body)['status'] == 'pending'


def test_a_body_with_a_length_is_read(ask):
    status, _, body = ask(POST + b'Content-Length: %d\r\n\r\n' % len(TASK) + TASK)
    assert status == 201, body


@pytest.mark.parametrize(
    ('body', 'status'),
    [
        (b'0\r\n\r\n', 400),
        (in_chunks(b'{}', 1), 400),
        (in_chunks(b' ' * 70000, 5000), 413),
        (b'-5\r\nhello\r\n0\r\n\r\n', 400),
        (b'x\r\nhello\r\n0\r\n\r\n', 400),
    ],
)
def test_a_body_in_chunks_that_cannot_be_used_is_refused(ask, body, status):
    assert ask(POST + b'Transfer-Encoding: chunked\r\n\r\n' + body)[0] == status


@pytest.mark.parametrize(
    'framing',
    [
        b'Transfer-Encoding: gzip, chunked\r\n',
        b'Transfer-Encoding: gzip\r\n',
        b'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n',
    ],
)
def test_a_body_whose_end_is_not_certain_is_refused(ask, framing):
    assert ask(POST + framing + b'\r\n' + in_chunks(TASK, 4096))[0] in (400, 501)


@pytest.mark.parametrize(
    ('target', 'status'),
    [
        (b'http://localhost/v2/images?limit=1', 200),
        (b'HTTP://127.0.0.1:9292/v2/images', 200),
        (b'http://[::1]/v2/tasks/' + NO_TASK.encode(), 404),
        (b'http://localhost/v2/im%61ges', 200),
        (b'http://localhost', 300),
        (b'http://localhost?limit=1', 300),
        (b'http://evil.example/v2/images', 403),
        (b'http://evil.example@localhost/v2/images', 400),
    ],
)
@pytest.mark.parametrize('host', [b'127.0.0.1', b'evil.example'])
def test_the_authority_of_an_absolute_form_counts_instead_of_host(ask, target, host, status):
    found, _, body = ask(b'GET ' + target + b' HTTP/1.1\r\nHost: ' + host + b'\r\n\r\n')
    assert found == status, body


def test_links_are_built_from_the_authority_of_an_absolute_form(ask):
    _, _, body = ask(b'GET http://localhost:1234/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
    (link,) = json.loads(body)['versions'][0]['links']
    assert link['href'].startswith('http://localhost:1234/')


@pytest.mark.parametrize(
    ('method', 'path', 'status'),
    [
        ('GET', '/healthcheck', 200),
        ('GET', '/v2/images', 200),
        ('GET', f'/v2/tasks/{NO_TASK}', 404),
        ('GET', '/nowhere', 404),
        ('GET', '/v2/images?limit=x', 400),
        ('PUT', '/v2/tasks', 405),
        ('BREW', '/v2/tasks', 501),
        ('POST', '/v2/tasks', 415),
        ('HEAD', f'/v2/images/{NO_TASK}/file', 404),
    ],
)
def test_an_answer_is_the_same(ask, method, path, status):
    found, headers, body = ask(f'{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n'.encode())
    assert found == status, body
    assert 'x-openstack-request-id' in headers
    assert bool(body) == (method != 'HEAD')


def test_mutated_requests_are_answered_as_sent(server):
    """A short run; the program itself makes long ones."""
    if not server.log.count('glance-api listens'):
        pytest.skip('Heads are the business of the server.')
    counts, wrong = wire_fuzzer.run(('127.0.0.1', server.port), requests=300, seed=3)
    assert not wrong
    assert counts['200']
    assert counts['400']
