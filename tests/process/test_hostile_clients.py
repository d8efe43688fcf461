"""What clients do that are hostile, broken or too many, and what must not come of it."""

import contextlib
import pathlib
import resource
import socket

import pytest

from .conftest import TERM, until

pytestmark = pytest.mark.once

HEAD = b'POST /v2/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n'


@pytest.fixture
def api(start):
    return start().await_ready()


@pytest.fixture
def connect(api):
    with contextlib.ExitStack() as stack:

        def made():
            client = stack.enter_context(socket.create_connection(('127.0.0.1', api.port)))
            client.settimeout(30)
            return client

        yield made


def answer(client):
    """All that comes until the server hangs up."""
    received = b''
    with contextlib.suppress(ConnectionError):
        while piece := client.recv(65536):
            received += piece
    return received


def memory(api):
    rollup = pathlib.Path(f'/proc/{api.process.pid}/smaps_rollup').read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith('Pss:'))


def send_until_cut_off(client, piece, most):
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < most:
            client.sendall(piece)
            sent += len(piece)
    return sent


@pytest.mark.parametrize('path', ['/v2/tasks', '/nowhere'])
def test_a_chunk_size_without_end_takes_no_memory(api, connect, path):
    before = memory(api)
    client = connect()
    client.sendall(HEAD.replace(b'/v2/tasks', path.encode()))
    client.sendall(b'Transfer-Encoding: chunked\r\n\r\n')
    assert send_until_cut_off(client, b'5' * 65536, 64 * 2**20) < 64 * 2**20
    assert memory(api) - before < 20 * 1024
    assert api.call('GET', '/v2/tasks')[0] == 200


def test_trailers_without_end_are_cut_off(api, connect):
    client = connect()
    client.sendall(HEAD + b'Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n')
    assert send_until_cut_off(client, b'X: y\r\n' * 10000, 64 * 2**20) < 64 * 2**20
    assert api.call('GET', '/v2/tasks')[0] == 200


@pytest.mark.parametrize(
    'framing',
    [
        b'Transfer-Encoding: gzip, chunked\r\n',
        b'Transfer-Encoding: identity\r\n',
        b'Transfer-Encoding: xchunked\r\n',
        b'Transfer-Encoding: chunked, chunked\r\n',
        b'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n',
        b'Transfer-Encoding: \x0bchunked\r\n',
        b'Content-Length: 4\r\nContent-Length: 5\r\n',
        b'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n',
    ],
)
def test_a_body_is_never_taken_for_the_next_request(connect, framing):
    client = connect()
    client.sendall(HEAD + framing + b'\r\nGET /healthcheck HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
    received = answer(client)
    assert received.startswith((b'HTTP/1.1 400', b'HTTP/1.0 400'))
    assert received.count(b'HTTP/1.') == 1


def test_too_many_clients_do_not_end_the_service(start):
    """As many as there are descriptors; when they are gone, all is as before."""
    api = start().await_ready()
    resource.prlimit(api.process.pid, resource.RLIMIT_NOFILE, (100, 100))
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(socket.create_connection(('127.0.0.1', api.port)))
    until(lambda: api._answers(), 'an answer after all clients have gone')
    api.signal(TERM)
    assert api.exit_status() == 0
