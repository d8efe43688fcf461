"""How long connections may be idle, and heads and bodies of requests may take; how many wait.

The server runs in a process of its own, since its threads must be green.
"""

import contextlib
import socket
import subprocess
import sys

import pytest

PROGRAM = """
from glance import threads
threads.use(threads.GREEN)
import eventlet
from glance.server import wsgi_server

def application(environ, start_response):
    try:
        environ['wsgi.input'].read(1000)
    except OSError:
        start_response('400 Bad Request', [])
        return [b'']
    start_response('200 OK', [('Content-Length', '2')])
    return [b'ok']

listener = eventlet.listen(('127.0.0.1', 0), backlog=4096)
print(listener.getsockname()[1], flush=True)
wsgi_server.serve(listener, application, socket_timeout=60, **{limits})
"""
REQUEST = b'GET / HTTP/1.1\r\nHost: a\r\n\r\n'


@pytest.fixture
def serve():
    """serve(**limits): a function that connects to a server with these limits."""
    with contextlib.ExitStack() as stack:

        def begun(**limits):
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, '-c', PROGRAM.format(limits=limits)], stdout=subprocess.PIPE
                )
            )
            stack.callback(process.kill)
            port = int(process.stdout.readline())

            def made(address='127.0.0.1'):
                client = stack.enter_context(
                    socket.create_connection(('127.0.0.1', port), source_address=(address, 0))
                )
                client.settimeout(10)
                return client

            return made

        yield begun


@pytest.fixture
def connect(serve):
    """connect(idle, head): a connection to a server with these limits in seconds."""

    def made(idle, head):
        return serve(idle_time=idle, head_time=head)()

    return made


@pytest.mark.parametrize('sent', [b'', b'GET / HT'])
def test_a_connection_without_a_request_is_closed(connect, sent):
    client = connect(idle=0.2, head=60)
    client.sendall(sent)
    assert client.recv(1000) == b''


def test_an_idle_connection_is_closed_after_its_request(connect):
    client = connect(idle=1, head=60)
    client.sendall(REQUEST)
    assert b'200 OK' in client.recv(1000)
    while client.recv(1000):
        pass


def dribble(client, pieces):
    """Send piece after piece until the server hangs up; returns what it says then."""
    client.settimeout(0.05)
    for piece in pieces:
        client.sendall(piece)
        with contextlib.suppress(TimeoutError):
            return client.recv(1000)
    return None


def test_a_request_line_that_dribbles_is_cut_off(connect):
    """Each byte comes before the idle time is over, but the line does not."""
    client = connect(idle=0.3, head=60)
    with contextlib.suppress(ConnectionError):
        assert dribble(client, [b'G'] * 100) == b''


def test_a_head_that_dribbles_is_cut_off(connect):
    client = connect(idle=60, head=0.3)
    client.sendall(b'GET / HTTP/1.1\r\n')
    with contextlib.suppress(ConnectionError):
        assert dribble(client, [b'X-%d: y\r\n' % number for number in range(100)]) == b''


@pytest.mark.parametrize('sent', [b'', b'GE', b'GET / HTTP/1.1\r\nHo'])
def test_a_head_that_does_not_go_on_is_cut_off(serve, sent):
    client = serve(head_time=0.2)()
    client.sendall(sent)
    assert client.recv(1000) == b''


BODIES = [b'Content-Length: 5\r\n\r\nhe', b'Transfer-Encoding: chunked\r\n\r\n5\r\nhe']


@pytest.mark.parametrize('body', BODIES)
def test_a_body_that_does_not_go_on_is_cut_off(serve, body):
    client = serve(body_time=0.2)()
    client.sendall(b'POST / HTTP/1.1\r\nHost: a\r\n' + body)
    assert client.recv(1000).startswith(b'HTTP/1.1 400')
    assert client.recv(1000) == b''


HALVES = [b'', b'GET / HT', b'GET / HTTP/1.1\r\nHost: a\r\n', REQUEST] + [
    b'POST / HTTP/1.1\r\nHost: a\r\n' + body for body in BODIES
]


@pytest.mark.parametrize('half', HALVES)
def test_clients_that_send_half_a_request_keep_nobody_out(serve, half):
    connect = serve(connections=10)
    halves = [connect() for _ in range(50)]
    for client in halves:
        with contextlib.suppress(ConnectionError):
            client.sendall(half)
    for _ in range(3):
        client = connect()
        client.sendall(REQUEST)
        assert b'200 OK' in client.recv(1000)


def is_open(client):
    client.settimeout(0.01)
    try:
        client.recv(1000)  # the end, or the answer before it
        return False
    except TimeoutError:
        return True
    except ConnectionError:
        return False


@pytest.mark.parametrize('half', [b'GET / HT', HALVES[-1], HALVES[-2]])
def test_one_address_has_only_so_many_connections_that_wait(serve, half):
    connect = serve(most_per_address=3)
    other = connect('127.0.0.2')
    other.sendall(half)
    halves = [connect() for _ in range(8)]
    for client in halves:
        client.sendall(half)
    client = connect()
    client.sendall(REQUEST)
    assert b'200 OK' in client.recv(1000)
    closed = 0
    while closed < 5:
        closed = len(halves) - sum(map(is_open, halves))
    assert closed <= 6
    assert is_open(other)


def test_idle_connections_do_not_count_for_an_address(serve):
    connect = serve(most_per_address=3)
    clients = []
    for _ in range(8):
        clients.append(connect())
        clients[-1].sendall(REQUEST)
        assert b'200 OK' in clients[-1].recv(1000)
    for client in clients:
        client.sendall(REQUEST)
        assert b'200 OK' in client.recv(1000)
