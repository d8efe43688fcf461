"""Transactions on servers: what is in each other's way is done again, and others go on."""

import threading

import oslo_db.exception
import pytest
import sqlalchemy as sa

from glance.db import sessions
from glance.domain import errors
from tests import databases

pytestmark = pytest.mark.on(*databases.SERVERS)

PATIENCE = 60
# The same in the words of each server.
WORDS = {
    'postgresql': {
        'strict': 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE',
        'patient': f"SET LOCAL statement_timeout = '{PATIENCE}s'",
        'lock': 'SELECT pg_advisory_lock(1)',
        'unlock': 'SELECT pg_advisory_unlock(1)',
        'name': 'SELECT current_database()',
        'end': 'SELECT pg_terminate_backend(pg_backend_pid())',
    },
    'mariadb': {
        'strict': 'SET SESSION innodb_snapshot_isolation = ON',
        'patient': f'SET SESSION max_statement_time = {PATIENCE}',
        'lock': f"SELECT get_lock('glance_test', {PATIENCE})",
        'unlock': "SELECT release_lock('glance_test')",
        'name': 'SELECT database()',
        'end': 'KILL CONNECTION_ID()',
    },
}


def words(of):
    return sa.text(WORDS[databases.CHOSEN][of])


@pytest.fixture
def server(tmp_path, missing):
    with databases.fresh(databases.CHOSEN, tmp_path, missing) as url:
        made = sessions.open_database(url)

        def make(connection):
            connection.execute(sa.text('CREATE TABLE pairs (id INTEGER PRIMARY KEY, n INTEGER)'))
            connection.execute(sa.text('INSERT INTO pairs VALUES (1, 0), (2, 0)'))

        made.write(make)
        yield made
        made.close()


def at_once(*works):
    """Do all of them at the same time; raises what one of them raised."""
    raised = []

    def run(work):
        try:
            work()
        except BaseException as error:
            raised.append(error)

    running = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(PATIENCE)
        assert not thread.is_alive(), 'a transaction hangs'
    if raised:
        raise raised[0]


def add(connection, row):
    connection.execute(sa.text('UPDATE pairs SET n = n + 1 WHERE id = :id'), {'id': row})


def numbers(server):
    return server.read(
        lambda connection: connection.scalars(sa.text('SELECT n FROM pairs ORDER BY id')).all()
    )


def test_a_deadlock_is_no_error_and_each_write_is_made_once(server):
    both_began = threading.Barrier(2)
    tries = []

    def crossing(first, second):
        def write(connection):
            tries.append(first)
            add(connection, first)
            if len(tries) <= 2:  # when it is tried again, the other one has gone
                both_began.wait(PATIENCE)
            add(connection, second)

        return lambda: server.write(write)

    at_once(crossing(1, 2), crossing(2, 1))
    assert len(tries) == 3  # one of them was the victim
    assert numbers(server) == [2, 2]


def test_a_serialization_failure_is_no_error_and_each_write_is_made_once(server):
    both_read = threading.Barrier(2)
    tries = []

    def strict():
        def write(connection):
            tries.append(1)
            connection.execute(words('strict'))
            connection.execute(sa.text('SELECT sum(n) FROM pairs'))
            if len(tries) <= 2:
                both_read.wait(PATIENCE)
            add(connection, 1)

        server.write(write)

    at_once(strict, strict)
    assert len(tries) == 3
    assert numbers(server) == [2, 0]


def test_others_go_on_while_the_server_has_not_answered(server):
    """The lock that is waited for is let go of by another thread of this process."""
    waits = threading.Event()

    def hold():
        def read(connection):
            connection.execute(words('lock'))
            held.set()
            assert waits.wait(PATIENCE)
            connection.execute(words('unlock'))

        server.read(read)

    def wait():
        assert held.wait(PATIENCE)

        def read(connection):
            connection.execute(words('patient'))
            waits.set()
            connection.execute(words('lock'))
            connection.execute(words('unlock'))

        server.read(read)

    held = threading.Event()
    at_once(hold, wait)


def test_a_server_that_has_gone_is_told_as_such(server):
    name = server.read(lambda connection: connection.scalar(words('name')))
    with pytest.raises(errors.DatabaseUnavailable):
        server.write(lambda connection: connection.execute(words('end')))
    assert numbers(server) == [0, 0], f'{name} is there again'


@pytest.mark.on('postgresql')  # of MariaDB it is a setting of the whole server
def test_a_server_that_is_read_only_is_unavailable_for_writes(server):
    name = server.engine.url.database
    server.write(
        lambda connection: connection.execute(
            sa.text(f'ALTER DATABASE {name} SET default_transaction_read_only = on')
        )
    )
    opened = sessions.open_database(server.engine.url.render_as_string(hide_password=False))
    with pytest.raises(errors.DatabaseUnavailable):
        opened.write(lambda connection: connection.execute(sa.text('UPDATE pairs SET n = 1')))
    opened.read(lambda connection: connection.execute(sa.text('SELECT * FROM pairs')))
    with pytest.raises(oslo_db.exception.DBError):  # a wrong statement is no fault of the server
        opened.write(lambda connection: connection.execute(sa.text('UPDATE pairs SET n = n +')))
    opened.close()


@pytest.mark.parametrize(
    ('change', 'kind'),
    [
        ('ALTER TABLE pairs RENAME TO others', errors.DatabaseUnavailable),
        ('ALTER TABLE pairs RENAME COLUMN n TO other', errors.DatabaseUnavailable),
        ('ALTER TABLE pairs ADD CHECK (n < 1)', errors.WriteRefused),
    ],
)
def test_a_table_that_an_operator_changed_is_one_line_of_the_log(server, caplog, change, kind):
    server.write(lambda connection: connection.execute(sa.text(change)))
    with pytest.raises(kind):
        server.write(lambda connection: add(connection, 1))
    [line] = caplog.records
    assert line.exc_info is None
    assert 'Failing row' not in line.getMessage()


def test_a_database_that_was_renamed_is_unavailable(server, caplog):
    name = server.engine.url.database
    url = server.engine.url.set(database=f'{name}_of_nobody')
    opened = sessions.open_database(url.render_as_string(hide_password=False))
    with pytest.raises(errors.DatabaseUnavailable):
        numbers(opened)
    assert len(caplog.records) == 1
    opened.close()
