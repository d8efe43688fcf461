"""A real glance-api in a process of its own, and what it said.

GLANCE_TEST_DATABASE chooses what it runs on: sqlite (a file in its state
folder), postgresql or mariadb (a database of the test's own).
"""

import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa

from glance.testing.source_server import Silence, SourceServer
from tests import databases, folders

from . import checker, history
from .nursery import Nursery

PATIENCE = 60.0
PROGRAMS = pathlib.Path(sys.executable).parent
ROOT = pathlib.Path(__file__).parents[2]


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def until(true, what, patience=PATIENCE):
    """Wait for a condition of another process; AssertionError if it never comes."""
    end = time.monotonic() + patience
    while not (found := true()):
        assert time.monotonic() < end, f'{what} did not happen in {patience} seconds'
        time.sleep(0.01)
    return found


def run_by(python, command):
    """The arguments that run a command of the glance that this Python imports."""
    return [str(python), '-P', '-m', f'glance.cmd.{command}']


class Api:
    """One glance-api. Its whole output is in log.

    nursery     what forks it; without, it is the program itself
    fail_point  where it kills or stops itself (fail_points.py); needs a nursery
    python      of another environment, whose glance is run
    """

    program = 'api'

    def __init__(self, config, log, *, nursery=None, fail_point='', python=None, **environment):
        self.log_path = log
        self._file = open(log, 'ab')  # noqa: SIM115 - closed in end()
        self._begins_at = self._file.tell()
        self.port = None
        if nursery is not None:
            self.process = nursery.start(self.program, ['--config-file', config], log, fail_point)
            return
        self.process = subprocess.Popen(
            [
                *(
                    [f'{PROGRAMS}/glance-{self.program}']
                    if python is None
                    else run_by(python, self.program)
                ),
                *('--config-file', str(config)),
            ],
            stdout=self._file,
            stderr=self._file,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env=os.environ | environment,
            start_new_session=True,
        )

    @property
    def log(self):
        return self.log_path.read_bytes()[self._begins_at :].decode()

    def await_log(self, pattern):
        def found():
            match = re.search(pattern, self.log)
            assert match or self.process.poll() is None, self.log
            return match

        return until(found, f'"{pattern}" in the log')

    def await_ready(self):
        self.port = int(self.await_log(r'listens on http://\S+?:(\d+)')[1])
        until(self._answers, 'an answer')
        return self

    def _answers(self):
        with contextlib.suppress(OSError):
            return self.call('GET', '/healthcheck')[0] == 200

    def call(self, method, path, body=None, headers=None):
        """(status, JSON or bytes) of one request."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=PATIENCE)
        try:
            connection.request(
                method,
                path,
                None if body is None else json.dumps(body),
                {'Accept': 'application/json'}
                | ({'Content-Type': 'application/json'} if body is not None else {})
                | (headers or {}),
            )
            answer = connection.getresponse()
            content = answer.read()
            kind = answer.getheader('Content-Type') or ''
            return answer.status, json.loads(content) if 'json' in kind else content
        finally:
            connection.close()

    def import_(self, source, format_='raw'):
        status, task = self.call(
            'POST',
            '/v2/tasks',
            {
                'type': 'import',
                'input': {
                    'import_from': source,
                    'import_from_format': format_,
                    'image_properties': {},
                },
            },
        )
        assert status == 201, task
        return task['id']

    def task(self, task_id):
        return self.call('GET', f'/v2/tasks/{task_id}')[1]

    def ended(self, task_id):
        until(lambda: self.task(task_id)['status'] in ('success', 'failure'), 'the end of a task')
        return self.task(task_id)

    def signal(self, number):
        self.process.send_signal(number)

    def exit_status(self):
        return self.process.wait(PATIENCE)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._file.close()


class Web(SourceServer):
    """A source that a test can watch."""

    def silence(self):
        return Silence()

    def await_request(self, path, count=1):
        """Wait until a page was asked for so many times."""
        until(
            lambda: sum(request.path == path for request in self.requests) >= count,
            f'a request for {path}',
        )


@pytest.fixture
def web():
    with Web() as server:
        yield server


@pytest.fixture
def database(state, missing):
    """The URL of the database of the deployment."""
    if databases.CHOSEN == 'sqlite':
        yield f'sqlite:///{state}/glance.sqlite'
        return
    with databases.with_tables(databases.CHOSEN, state, missing, history.keep) as url:
        yield url


@pytest.fixture
def recorded(state, missing):
    """The database of this test is made before the service starts, and records its history."""
    if databases.CHOSEN == 'sqlite':
        state.mkdir(mode=0o700)
        with databases.with_tables('sqlite', state, missing, history.keep):
            yield
        return
    yield  # there it always is


@pytest.fixture
def config(tmp_path, web, database):
    """Write a configuration for a state folder of the test; returns its path."""

    def write(**sections):
        merged = {
            'DEFAULT': {
                'state_path': tmp_path / 'state',
                'bind_port': 0,
                'graceful_shutdown_timeout': 10,
            },
            'import_filtering_opts': {'allowed_hosts': '127.0.0.1', 'allowed_ports': web.port},
        }
        if databases.CHOSEN != 'sqlite':
            merged['database'] = {'connection': database}
        for name, values in sections.items():
            merged[name] = merged.get(name, {}) | values
        path = tmp_path / 'glance-api.conf'
        path.write_text(
            '\n'.join(
                f'[{name}]\n' + ''.join(f'{key} = {value}\n' for key, value in values.items())
                for name, values in merged.items()
            )
        )
        return path

    return write


@pytest.fixture
def start_program(tmp_path, config):
    """As start, of the program itself: for what is about its first moments."""
    begun = []

    def begin(**sections):
        api = Api(config(**sections), tmp_path / 'log')
        begun.append(api)
        return api

    yield begin
    for api in begun:
        api.end()


@pytest.fixture(scope='session')
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def start(tmp_path, config, nursery):
    """start(**sections): a glance-api that was started; await_ready() waits until it answers.

    It is a fork of a process that has imported everything (nursery.py).
    """
    begun = []

    def begin(*, fail_point='', **sections):
        path = config(**sections)
        api = Api(path, tmp_path / 'log', nursery=nursery, fail_point=fail_point)
        begun.append(api)
        return api

    yield begin
    for api in begun:
        api.end()


@pytest.fixture
def begin_worker(tmp_path, nursery):
    """begin_worker(configuration, **options): a glance-worker that takes orders (workers.py)."""
    from .workers import begun_in  # which needs what is above

    with begun_in(tmp_path, nursery) as begin:
        yield begin


@pytest.fixture
def state(tmp_path):
    return tmp_path / 'state'


@pytest.fixture
def check(tmp_path, state, database):
    """check(sources): the checker, on all that this test has left."""

    def checked(sources=None):
        return checker.check(state, sources, database=database, log=tmp_path / 'log')

    return checked


@pytest.fixture
def settled(check):
    """settled(sources): wait until everything is tidied up, and check it."""

    def wait(sources=None):
        def true():
            with contextlib.suppress(AssertionError):
                check()
                return True

        with contextlib.suppress(AssertionError):
            until(true, 'the end of tidying up')
        return check(sources)  # says what is wrong

    return wait


@pytest.fixture
def query(database):
    """query(words): the rows of a statement."""

    def rows(words):
        with checker.reading(database) as connection:
            return connection.execute(sa.text(words)).all()

    return rows


def left_behind(state):
    """Everything in the folders that a run fills."""
    return sorted(
        str(path.relative_to(state))
        for folder in ('images', 'staging')
        for path in folders.below(state / folder)
        if path.name not in checker.MARKS
    )


def staged(state):
    """How many bytes lie in staging."""
    found = 0
    for path in folders.below(state / 'staging'):
        with contextlib.suppress(FileNotFoundError):
            found += path.stat().st_size if path.is_file() else 0
    return found


TERM, INT, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGKILL
STOP, CONT = signal.SIGSTOP, signal.SIGCONT
