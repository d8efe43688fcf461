"""Does the server tell an application that its client has hung up?

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
    print('waits', flush=True)
    while not environ['glance.client_is_gone']():
        eventlet.sleep(0.005)
        if environ['PATH_INFO'] == '/once':
            break
    else:
        print('gone', flush=True)
    start_response('200 OK', [('Content-Length', '2')])
    return [b'ok']

listener = eventlet.listen(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
wsgi_server.serve(listener, application, socket_timeout=60)
"""


@pytest.fixture
def server():
    """(process, a function that connects to it)"""
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen([sys.executable, '-c', PROGRAM], stdout=subprocess.PIPE)
        )
        stack.callback(process.kill)
        address = '127.0.0.1', int(process.stdout.readline())
        yield process, lambda: stack.enter_context(socket.create_connection(address, 30))


def test_who_hangs_up_is_gone_and_who_stays_is_not(server):
    process, connect = server
    staying = connect()
    for _ in range(2):  # of one connection
        staying.sendall(b'GET /once HTTP/1.1\r\nHost: a\r\n\r\n')
        assert process.stdout.readline() == b'waits\n'
        assert staying.recv(1000).startswith(b'HTTP/1.1 200')
    for more in (b'', b'GET / HTTP/1.1\r\n'):  # what the client sent before makes no difference
        leaving = connect()
        leaving.sendall(b'GET / HTTP/1.1\r\nHost: a\r\n\r\n' + more)
        assert process.stdout.readline() == b'waits\n'
        leaving.close()
        assert process.stdout.readline() == b'gone\n'
