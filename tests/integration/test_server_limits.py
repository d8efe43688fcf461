"""How long a server is waited for, how it is reached, and the options of [database]."""

import contextlib
import socket
import threading

import pytest
import sqlalchemy as sa

from glance.db import connecting, deadlines, migrations, server_checks, sessions
from glance.domain import errors
from glance.domain.lease import Lease, Progress
from glance.domain.steps import RunReport
from tests import databases
from tests.contract.sql_queue import SqlQueue

pytestmark = pytest.mark.on('postgresql', 'mariadb')

PATIENCE = 60
ONE = sa.text('SELECT 1')
SLEEP = {'postgresql': 'SELECT pg_sleep(30)', 'mysql': 'SELECT sleep(30)'}
SESSION = {
    'postgresql': "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')",
    'mysql': 'SELECT @@lock_wait_timeout, @@innodb_lock_wait_timeout, @@max_statement_time',
}
LIMITED = {'postgresql': ('5s', '8s'), 'mysql': (5, 5, 8)}
UNLIMITED = {'postgresql': ('0', '0'), 'mysql': (86400, 50, 0)}
PORTS = {'postgresql': 5432, 'mysql': 3306}


@pytest.fixture
def url(tmp_path, missing):
    with databases.fresh(databases.CHOSEN, tmp_path, missing) as fresh:
        yield sa.make_url(fresh)


@pytest.fixture
def opened(url):
    """opened(URL=..., **options): the database at a URL, which is closed after the test."""
    with contextlib.ExitStack() as stack:

        def make(address=None, **options):
            words = (address or url).render_as_string(hide_password=False)
            made = sessions.open_database(words, **options)
            stack.callback(made.close)
            return made

        yield make


def ask(database, words):
    return database.read(lambda connection: connection.execute(sa.text(words)).one())


def test_the_limits_of_a_session_stay_after_a_rollback(opened):
    database = opened()
    with pytest.raises(ZeroDivisionError):
        database.read(lambda connection: 1 / 0)
    assert tuple(ask(database, SESSION[database.dialect])) == LIMITED[database.dialect]


def test_commands_of_an_operator_have_no_limits(opened):
    database = opened(limited=False)
    assert tuple(ask(database, SESSION[database.dialect])) == UNLIMITED[database.dialect]


def test_a_statement_has_no_more_time_than_its_transaction(opened):
    database = opened()
    with pytest.raises(errors.DatabaseUnavailable), deadlines.within(0.2):
        ask(database, SLEEP[database.dialect])
    assert ask(database, 'SELECT 1') == (1,)


def test_a_first_connection_that_breaks_at_any_moment_is_an_outage(opened):
    """SQLAlchemy asks the server some things on it, and raises errors of its own."""
    for thousandths in (*range(2, 20, 2), *range(20, 100, 20)):
        database = opened()
        with contextlib.suppress(errors.DatabaseUnavailable), deadlines.within(thousandths / 1000):
            ask(database, 'SELECT 1')
        assert ask(database, 'SELECT 1') == (1,)
        database.close()


def test_one_that_waits_for_a_connection_has_no_more_time_either(opened, caplog):
    database = opened(max_pool_size=1, max_overflow=0)

    def read(_connection):
        with pytest.raises(errors.DatabaseUnavailable), deadlines.within(0.1):
            ask(database, 'SELECT 1')

    database.read(read)
    assert caplog.messages[-1].endswith('all connections of this process are in use')


def test_pool_timeout_is_how_long_to_wait_for_a_connection(opened):
    database = opened(max_pool_size=1, max_overflow=0, pool_timeout=0.1)

    def read(_connection):
        with pytest.raises(errors.DatabaseUnavailable):
            ask(database, 'SELECT 1')

    database.read(read)


def test_runs_leave_connections_to_requests(opened):
    """Of three connections, runs get two."""
    database = opened(max_pool_size=1, max_overflow=2)

    def hold(depth):
        def read(_connection):
            if depth:
                database.read(hold(depth - 1), for_run=True)
                return
            with pytest.raises(errors.DatabaseUnavailable), deadlines.within(0.1):
                database.read(lambda connection: connection.execute(ONE), for_run=True)
            assert ask(database, 'SELECT 1') == (1,)

        return read

    database.read(hold(1), for_run=True)


def test_connections_are_kept_open_and_replaced_as_configured(opened):
    database = opened(max_pool_size=2, max_overflow=1, connection_recycle_time=100)
    assert (database.engine.pool.size(), database.engine.pool._max_overflow) == (2, 1)
    assert database.engine.pool._recycle == 100


@pytest.mark.on('mariadb')
def test_sql_mode_is_set_or_left_to_the_server(opened):
    question = 'SELECT @@session.sql_mode, @@global.sql_mode'
    session, of_server = ask(opened(mysql_sql_mode='ANSI'), question)
    assert 'ANSI_QUOTES' in session
    session, of_server = ask(opened(mysql_sql_mode=''), question)
    assert session == of_server


@pytest.fixture
def silent():
    """The port of a server that accepts and never answers."""
    with socket.create_server(('127.0.0.1', 0), backlog=16) as listener:
        yield listener.getsockname()[1]


def test_a_silent_server_is_waited_for_no_longer_than_a_transaction_may_take(opened, url, silent):
    database = opened(url.set(port=silent))
    with pytest.raises(errors.DatabaseUnavailable), deadlines.within(0.2):
        ask(database, 'SELECT 1')


def test_a_server_is_found_by_its_name(opened, url):
    assert ask(opened(url.set(host='localhost')), 'SELECT 1') == (1,)


def test_a_name_that_nobody_knows_is_an_outage(opened, url, caplog):
    with pytest.raises(errors.DatabaseUnavailable):
        ask(opened(url.set(host='nowhere.invalid')), 'SELECT 1')
    assert 'nowhere.invalid' in caplog.text


@pytest.mark.on('postgresql')
def test_the_next_host_is_tried_while_the_first_is_silent(opened, url, silent):
    ends = [f'127.0.0.1:{silent}', f'localhost:{url.port or PORTS["postgresql"]}']
    database = opened(url.set(host=None, port=None, query={'host': ends}))
    with deadlines.within(4):  # half of it for each
        assert ask(database, 'SELECT 1') == (1,)


@pytest.mark.green
def test_a_name_server_that_is_slow_does_not_stop_the_hub(opened, url):
    """While the threads that look up names are busy, others go on and the caller gives up."""
    busy, done = threading.Event(), connecting.threads.original('threading').Event()
    looking = [connecting._lookups.submit(done.wait) for _ in range(connecting.LOOKUP_THREADS)]
    ticker = threading.Thread(target=busy.set)
    ticker.start()
    with pytest.raises(errors.DatabaseUnavailable), deadlines.within(0.2):
        ask(opened(url.set(host='localhost')), 'SELECT 1')
    assert busy.is_set()
    done.set()
    for one in looking:
        one.result(PATIENCE)


def test_a_server_that_serves_is_found_to(opened):
    database = opened()
    server_checks.verify(database.engine)
    migrations.sync(database.engine)
    migrations.require_current(database.engine)


@pytest.mark.on('postgresql')
def test_a_read_only_database_is_refused_by_a_sentence(opened, url):
    database = opened()
    migrations.sync(database.engine)
    database.write(
        lambda connection: connection.execute(
            sa.text(f'ALTER DATABASE {url.database} SET default_transaction_read_only = on')
        )
    )
    with pytest.raises(
        errors.ConfigError, match=r'^The database cannot be used: it is read-only.'
    ):
        migrations.require_current(opened().engine)


def test_leases_are_renewed_but_those_whose_entries_are_locked(url):
    queue = SqlQueue(url.render_as_string(hide_password=False))
    for number in range(60):  # more than are renewed at once
        queue.add(f't{number:02}')
    leases = [claim.lease for claim in queue.claim('us', 60, seconds=0.001, versions={'test': 1})]
    progress = {lease: RunReport(Progress(1, 5)) for lease in leases}

    def renew_beside(connection):
        connection.execute(
            sa.text("UPDATE task_queue SET touched = touched WHERE task_id = 't07'")
        )
        with deadlines.within(3):  # less than a lock would be waited for
            queue.renew('us', progress, seconds=600)

    queue.database.write(renew_beside)
    expiring = queue.database.read(
        lambda connection: connection.scalars(
            sa.text('SELECT task_id FROM task_queue WHERE furthest_bytes = 0')
        ).all()
    )
    assert expiring == ['t07']
    queue.renew('us', {Lease('t07', 1): RunReport(Progress(1, 5))}, seconds=600)
    assert queue.claim('them', 60, seconds=30, versions={'test': 1}) == []
    queue.database.close()
