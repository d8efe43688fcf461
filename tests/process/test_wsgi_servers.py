"""glance.wsgi.api:application under the servers that the guide names."""

import concurrent.futures
import contextlib
import http.client
import os
import pathlib
import socket
import sqlite3
import subprocess
import sys

import pytest

from .conftest import KILL, PATIENCE, TERM, Api, free_port, left_behind, until

pytestmark = pytest.mark.once

PROGRAMS = pathlib.Path(sys.executable).parent
ROOT = pathlib.Path(__file__).parents[2]
CONTENT = bytes(range(256)) * 4096 * 3 + b'end'

SERVERS = {
    'uwsgi': [
        'uwsgi',
        '--http-socket=127.0.0.1:{port}',
        '--master',
        '--processes=2',
        '--threads=4',
        '--die-on-term',
        '--hook-master-start=unix_signal:15 gracefully_kill_them_all',
        '--virtualenv={prefix}',
        '--module=glance.wsgi.api:application',
    ],
    'uwsgi-lazy': [
        'uwsgi',
        '--http-socket=127.0.0.1:{port}',
        '--master',
        '--lazy-apps',
        '--enable-threads',
        '--threads=4',
        '--die-on-term',
        '--hook-master-start=unix_signal:15 gracefully_kill_them_all',
        '--virtualenv={prefix}',
        '--module=glance.wsgi.api:application',
    ],
    'gunicorn': [
        'gunicorn',
        '--bind=127.0.0.1:{port}',
        '--workers=2',
        '--threads=4',
        '--config={root}/examples/gunicorn.conf.py',
        'glance.wsgi.api:application',
    ],
    'gunicorn-plain': [
        'gunicorn',
        '--bind=127.0.0.1:{port}',
        '--threads=4',
        'glance.wsgi.api:application',
    ],
}
STARTS_BY_HOOK = ('uwsgi', 'gunicorn')


def program(name):
    """Where a server is; uWSGI's wheel calls it pyuwsgi."""
    found = [PROGRAMS / each for each in (f'py{name}', name) if (PROGRAMS / each).exists()]
    return found[0] if found else None


class Server(Api):
    """Another server that runs the application, configured by the folder of a file."""

    def __init__(self, command, config, log, **environment):
        self.log_path = log
        self._file = open(log, 'ab')  # noqa: SIM115 - closed in end()
        self._begins_at = self._file.tell()
        self.port = free_port()
        self._processes = 2 if '--processes=2' in command else 1
        words = [word.format(port=self.port, prefix=sys.prefix, root=ROOT) for word in command[1:]]
        self.process = subprocess.Popen(
            [program(command[0]), *words],
            stdout=self._file,
            stderr=self._file,
            stdin=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name != 'GLANCE_THREADS'}
            | {'OS_GLANCE_CONFIG_DIR': str(config.parent)}
            | environment,
            start_new_session=True,
        )

    def call_for_headers(self, path):
        """The headers of the 200 that a GET is answered with."""
        with contextlib.closing(
            http.client.HTTPConnection('127.0.0.1', self.port, timeout=PATIENCE)
        ) as connection:
            connection.request('GET', path)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            return answer.headers

    def listens(self):
        with contextlib.suppress(OSError):
            socket.create_connection(('127.0.0.1', self.port), 1).close()
            return True

    def await_ready(self):
        until(self._answers, 'an answer')
        if self._processes > 1:  # uWSGI does not end workers that have not begun
            until(
                lambda: self.log.count('Tasks are run') >= self._processes,
                'the start of all workers',
            )
        return self

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, KILL)  # its workers as well
                self.process.wait()
        self._file.close()


@pytest.fixture(
    params=[
        'uwsgi',
        pytest.param('gunicorn', marks=pytest.mark.soak),
        # These differ in where they fork.
        pytest.param('uwsgi-lazy', marks=pytest.mark.soak),
        pytest.param('gunicorn-plain', marks=pytest.mark.soak),
    ]
)
def command(request, missing):
    name = SERVERS[request.param][0]
    if program(name) is None:
        missing(f'There is no {name} here.')
    return request.param


@pytest.fixture
def serve(command, config, tmp_path):
    begun = []

    def begin(**sections):
        server = Server(SERVERS[command], config(**sections), tmp_path / 'log')
        begun.append(server)
        return server

    yield begin
    for server in begun:
        server.end()


def entries(state):
    """(owner, attempts) of each task that waits or runs."""
    with contextlib.closing(sqlite3.connect(state / 'glance.sqlite')) as connection:
        return connection.execute('SELECT owner, attempts FROM task_queue').fetchall()


def test_an_image_is_imported_and_downloaded(serve, state, web):
    web.pages['/image'] = CONTENT
    server = serve().await_ready()
    task = server.ended(server.import_(f'{web.url}/image'))
    assert task['status'] == 'success', task['message']
    path = f'/v2/images/{task["result"]["image_id"]}/file'
    assert server.call('GET', path) == (200, CONTENT)
    assert server.call('GET', path, headers={'Range': 'bytes=1000-1999'}) == (
        206,
        CONTENT[1000:2000],
    )
    assert server.call('HEAD', path) == (200, b'')
    server.signal(TERM)
    assert server.exit_status() == 0, server.log
    assert len(left_behind(state)) == 1


def test_sigterm_hands_back_what_runs(serve, command, state, web):
    web.pages['/slow'] = web.silence()
    server = serve().await_ready()
    server.import_(f'{web.url}/slow')
    web.await_request('/slow')
    server.signal(TERM)
    assert server.exit_status() == 0, server.log
    assert entries(state) == [(None, 0)]


def test_two_of_each_process_wait_and_sigterm_answers_them(serve, command, web):
    if command != 'gunicorn':
        pytest.skip('Only gunicorn says that it stops before its requests have ended.')
    web.pages['/slow'] = web.silence()
    server = serve().await_ready()
    task_id = server.import_(f'{web.url}/slow')
    web.await_request('/slow')
    with concurrent.futures.ThreadPoolExecutor(5) as clients:
        asked = [
            clients.submit(server.call_for_headers, f'/v2/tasks/{task_id}?wait=120')
            for _ in range(5)
        ]
        # Two processes have four places, if the five requests are spread evenly.
        first = next(concurrent.futures.as_completed(asked, PATIENCE))
        assert first.result()['Glance-Waited'] == '0'
        assert any(not each.done() for each in asked)
        server.signal(TERM)
        assert all(each.result(PATIENCE)['Glance-Waited'] for each in asked)
    assert server.exit_status() == 0, server.log


def test_tasks_are_run_before_the_first_request_where_there_is_a_hook(serve, command):
    if command not in STARTS_BY_HOOK:
        pytest.skip('The first request starts it.')
    serve().await_log('Tasks are run in this process')


def test_uwsgi_without_threads_is_told_so(config, tmp_path, missing):
    if program('uwsgi') is None:
        missing('There is no uwsgi here.')
    bare = [word for word in SERVERS['uwsgi'] if not word.startswith('--threads')]
    server = Server([*bare, '--need-app'], config(), tmp_path / 'log')
    try:
        assert server.exit_status() != 0
        assert 'enable-threads = true' in server.log
    finally:
        server.end()


def test_glance_api_itself_is_green_only(config, tmp_path):
    api = Api(config(), tmp_path / 'log', GLANCE_THREADS='native')
    assert api.exit_status() == 1
    assert 'glance.wsgi.api:application' in api.log
    api.end()


def test_the_eventlet_executor_stops_a_native_start(serve, command, web):
    """With a hook, at once; else at the first request, which is answered 500."""
    server = serve(task={'task_executor': 'eventlet'})
    if command not in STARTS_BY_HOOK:
        until(server.listens, 'a listening port')
        with contextlib.suppress(OSError):
            assert server.call('GET', '/healthcheck')[0] == 500
    until(lambda: 'needs green threads' in server.log, 'the reason in the log')


@pytest.mark.soak
def test_suspects_run_in_a_child_of_a_worker(serve, command, state, web):
    if command not in STARTS_BY_HOOK:
        pytest.skip('Only these replace a worker that was killed, before a request.')
    web.pages['/image'] = web.silence()
    server = serve().await_ready()
    task_id = server.import_(f'{web.url}/image')
    for claim in (1, 2, 3, 4):  # the first gets further: its image has a row
        web.await_request('/image', claim)
        [(owner, _attempts)] = entries(state)
        os.kill(int(owner.rpartition('/')[2].partition('-')[0]), KILL)
    server.await_log('runs up to 1 tasks whose processes died 2 times in a row')
    web.await_request('/image', 5)
    web.pages['/image'] = CONTENT
    [(owner, _attempts)] = entries(state)
    os.kill(int(owner.rpartition('/')[2].partition('-')[0]), KILL)
    assert server.ended(task_id)['status'] == 'success'
