"""The database is slow instead of away: locked, silent, read-only, renamed. No healthy task fails.

On SQLite, a file that another process has locked. On a server, tables that somebody
has locked, a network that passes nothing on, and what an operator does by mistake.
"""

import contextlib
import logging
import socket
import sqlite3
import threading
import time

import pytest
import sqlalchemy as sa

from glance.db import migrations, sessions
from glance.testing.source_server import Answer
from tests import databases

from .conftest import TERM, left_behind, until
from .relay import Relay

LOG = logging.getLogger(__name__)
WAYS = {'taskflow': {}, 'eventlet': {'task_executor': 'eventlet'}}
BITS = b'bits of an image' * 1000
DROPPED = 'was stopped because the database does not answer'
ON_SERVERS = pytest.mark.on('postgresql', 'mariadb')
PORTS = {'postgresql': 5432, 'mysql': 3306}


@pytest.fixture(params=['taskflow', pytest.param('eventlet', marks=pytest.mark.soak)])
def task(request):
    # One attempt: to be dropped is none, or the task would fail.
    return {'max_attempts': 1, **WAYS[request.param]}


@pytest.fixture
def database(tmp_path, state, missing):
    """The URL of the database of the deployment. It is changed in ways that spoil it."""
    if databases.CHOSEN == 'sqlite':
        yield f'sqlite:///{state}/glance.sqlite'
        return
    with databases.fresh(databases.CHOSEN, tmp_path, missing) as url:
        opened = sessions.open_database(url)
        migrations.sync(opened.engine)
        opened.close()
        yield url


@pytest.fixture
def server(database):
    """Its URL, on the server that the tests run on."""
    return sa.make_url(database)


@pytest.fixture
def far(server):
    """(Relay, URL through it) of that database."""
    relay = Relay(server.host, server.port or PORTS[server.get_backend_name()])
    query = {'sslmode': 'disable', 'gssencmode': 'disable'}
    if server.get_backend_name() == 'mysql':
        query = {}
    yield relay, server.set(port=relay.port, query=query).render_as_string(hide_password=False)
    relay.close()


@contextlib.contextmanager
def administrator(url):
    """A connection whose statements take effect at once, to a database or to its server."""
    engine = sa.create_engine(url, isolation_level='AUTOCOMMIT', poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        yield connection


@contextlib.contextmanager
def locked(url, table):
    """Nobody else can read or write this table within the block."""
    with administrator(url) as connection:
        if url.get_backend_name() == 'mysql':
            connection.exec_driver_sql(f'LOCK TABLES {table} WRITE')
            yield
            connection.exec_driver_sql('UNLOCK TABLES')
        else:
            connection.exec_driver_sql('BEGIN')
            connection.exec_driver_sql(f'LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE')
            yield
            connection.exec_driver_sql('COMMIT')


@contextlib.contextmanager
def locked_file(path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute('BEGIN IMMEDIATE')
        yield
        other.execute('ROLLBACK')


class Clients:
    """Many clients that ask for the same list again and again. answers: (status, seconds)."""

    def __init__(self, api, number, path='/v2/images'):
        self.answers = []
        self._api, self._path = api, path
        self._going = True
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(number)]
        for thread in self._threads:
            thread.start()

    def _ask(self):
        while self._going:
            begun = time.monotonic()
            status, _content = self._api.call('GET', self._path)
            self.answers.append((status, time.monotonic() - begun))
            time.sleep(0.1)  # no more than a client that polls

    def stop(self):
        self._going = False
        for thread in self._threads:
            thread.join()


def slow_source(web):
    """A source of BITS at about 100 bytes in 10 ms, so that runs are under way for some time."""

    def body():
        for first in range(0, len(BITS), 100):
            time.sleep(0.01)
            yield BITS[first : first + 100]

    web.pages['/image'] = lambda request: Answer(body(), announced=len(BITS))
    return f'{web.url}/image'


def all_succeeded(api, task_ids):
    ended = [api.ended(task_id) for task_id in task_ids]
    assert [one['message'] for one in ended if one['status'] != 'success'] == []


def ends_well(api, task_ids, state):
    all_succeeded(api, task_ids)
    until(lambda: len(left_behind(state)) == len(task_ids), 'the end of tidying up')
    api.signal(TERM)
    assert api.exit_status() == 0
    assert 'Traceback' not in api.log


@ON_SERVERS
@pytest.mark.parametrize('table', ['images', 'tasks'])
def test_a_locked_table_is_waited_for(start, state, web, server, task, table):
    api = start(task=task).await_ready()
    task_ids = [api.import_(slow_source(web))]
    web.await_request('/image')
    with locked(server, table):
        assert api.call('GET', f'/v2/{table}')[0] == 503
        api.await_log(DROPPED)
    ends_well(api, task_ids, state)


@ON_SERVERS
def test_a_database_that_falls_silent_is_waited_for(start, state, web, far, task):
    relay, url = far
    api = start(database={'connection': url}, task=task).await_ready()
    task_ids = [api.import_(slow_source(web))]
    web.await_request('/image')
    relay.silence()
    assert api.call('GET', '/v2/images')[0] == 503
    api.await_log(DROPPED)
    relay.speak()
    ends_well(api, task_ids, state)


@pytest.fixture
def silent():
    """The port of a server that accepts and never answers."""
    with socket.create_server(('127.0.0.1', 0), backlog=128) as listener:
        yield listener.getsockname()[1]


@pytest.mark.once
@pytest.mark.parametrize('kind', ['postgresql', 'mysql'])
def test_a_start_against_a_silent_database_ends_with_a_sentence(start, silent, kind):
    api = start(database={'connection': f'{kind}://root@localhost:{silent}/glance'})
    assert api.exit_status() == 1
    [sentence] = [line for line in api.log.splitlines() if line.startswith('glance-api: ')]
    assert f'@localhost:{silent}/glance cannot be used: ' in sentence
    assert 'Traceback' not in api.log


@contextlib.contextmanager
def read_only(url):
    """The database refuses writes within the block, on all connections."""
    name = url.database
    with administrator(url.set(database='postgres')) as connection:
        for value in ('on', 'off'):
            connection.exec_driver_sql(
                f'ALTER DATABASE {name} SET default_transaction_read_only = {value}'
            )
            _disconnect(connection, name)
            if value == 'on':
                yield


@contextlib.contextmanager
def renamed(url):
    """The database has another name within the block."""
    with administrator(url.set(database='postgres')) as connection:
        _rename(connection, url.database, f'{url.database}_x')
        yield
        _rename(connection, f'{url.database}_x', url.database)


def _rename(connection, old, new):
    # Otherwise somebody would connect between the two.
    connection.exec_driver_sql(f'ALTER DATABASE {old} ALLOW_CONNECTIONS false')
    _disconnect(connection, old)
    connection.exec_driver_sql(f'ALTER DATABASE {old} RENAME TO {new}')
    connection.exec_driver_sql(f'ALTER DATABASE {new} ALLOW_CONNECTIONS true')


def _disconnect(connection, name):
    connection.exec_driver_sql(
        'SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '
        f"'{name}' AND pid <> pg_backend_pid()"
    )


@contextlib.contextmanager
def without_tables(url):
    """The tables have other names within the block."""
    with administrator(url) as connection:
        connection.exec_driver_sql('ALTER TABLE images RENAME TO images_x')
        yield
        connection.exec_driver_sql('ALTER TABLE images_x RENAME TO images')


@pytest.mark.parametrize(
    'mistake',
    [
        pytest.param(read_only, marks=pytest.mark.on('postgresql')),
        pytest.param(renamed, marks=pytest.mark.on('postgresql')),
        pytest.param(without_tables, marks=ON_SERVERS),
    ],
)
def test_a_mistake_that_is_taken_back_fails_no_task(start, state, web, server, task, mistake):
    api = start(task=task).await_ready()
    task_ids = [api.import_(slow_source(web)) for _ in range(3)]
    web.await_request('/image', 3)
    with mistake(server):
        if mistake is read_only:
            wanted = {'import_from': 'http://127.0.0.1/', 'import_from_format': 'raw'}
            body = {'type': 'import', 'input': wanted | {'image_properties': {}}}
            assert api.call('POST', '/v2/tasks', body)[0] == 503
        else:
            assert api.call('GET', '/v2/images')[0] == 503
        until(lambda: api.log.count(DROPPED) >= 3, 'the end of all runs')
    ends_well(api, task_ids, state)


def weather(start, state, web, task, change, *, seconds, imports, clients, **sections):
    """Imports and clients, while something is in force for so long. Returns what was answered."""
    api = start(task=task, **sections).await_ready()
    source = slow_source(web)
    task_ids = [api.import_(source) for _ in range(imports)]
    asking = Clients(api, clients)
    web.await_request('/image', imports // 2)
    with change:
        time.sleep(seconds)  # what a long outage does depends on its length
    asking.stop()
    all_succeeded(api, task_ids)
    LOG.warning(
        '%s answers %s, the slowest after %.1f s; runs were dropped %s times, %s lines of the log',
        len(asking.answers),
        sorted({status for status, _took in asking.answers}),
        max((took for _status, took in asking.answers), default=0),
        api.log.count(DROPPED),
        len(api.log.splitlines()),
    )
    ends_well(api, task_ids, state)
    return asking.answers


@pytest.mark.soak
@ON_SERVERS
@pytest.mark.parametrize('seconds', [40, 60, 75])
@pytest.mark.parametrize('table', ['images', 'tasks'])
def test_a_table_that_is_locked_for_long(start, state, web, server, task, table, seconds):
    answers = weather(
        start, state, web, task, locked(server, table), seconds=seconds, imports=10, clients=20
    )
    assert {status for status, _ in answers} <= {200, 503}


@pytest.mark.soak
@ON_SERVERS
def test_a_network_that_is_silent_for_long(start, state, web, far, task):
    relay, url = far

    @contextlib.contextmanager
    def silence():
        relay.silence()
        yield
        relay.speak()

    answers = weather(
        start,
        state,
        web,
        task,
        silence(),
        seconds=75,
        imports=3,
        clients=10,
        database={'connection': url},
    )
    assert {status for status, _ in answers} <= {200, 503}


@pytest.mark.soak
@ON_SERVERS
@pytest.mark.parametrize('seconds', [40, 75])
def test_sixty_imports_without_a_client(start, state, web, server, task, seconds):
    weather(
        start, state, web, task, locked(server, 'images'), seconds=seconds, imports=60, clients=0
    )


@pytest.mark.soak
@pytest.mark.parametrize(
    'mistake',
    [
        pytest.param(read_only, marks=pytest.mark.on('postgresql')),
        pytest.param(renamed, marks=pytest.mark.on('postgresql')),
        pytest.param(without_tables, marks=ON_SERVERS),
    ],
)
def test_a_mistake_that_is_noticed_late(start, state, web, server, task, mistake):
    answers = weather(start, state, web, task, mistake(server), seconds=20, imports=10, clients=20)
    assert {status for status, _ in answers} <= {200, 503}


@pytest.mark.soak
@pytest.mark.once
@pytest.mark.parametrize('seconds', [40, 75])
def test_a_file_that_is_locked_for_long(start, state, web, task, seconds):
    answers = weather(
        start,
        state,
        web,
        task,
        locked_file(state / 'glance.sqlite'),
        seconds=seconds,
        imports=10,
        clients=20,
    )
    assert {status for status, _ in answers} <= {200, 503}
