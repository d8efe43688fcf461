"""Transactions on SQLite: shared commits, and what is taken back."""

import contextlib
import logging
import sqlite3
import subprocess
import sys
import threading

import pytest
import sqlalchemy as sa

from glance import threads
from glance.db import deadlines, sessions, sqlite
from glance.domain import errors
from glance.domain.lease import LostLease

COUNT = sa.text('SELECT count(*) FROM numbers')


@pytest.fixture
def numbers(tmp_path):
    made = sessions.open_database(f'sqlite:///{tmp_path}/numbers.sqlite')
    made.write(
        lambda connection: connection.execute(sa.text('CREATE TABLE numbers (n INTEGER UNIQUE)'))
    )
    yield made
    made.close()


def insert(number):
    return lambda connection: connection.execute(
        sa.text('INSERT INTO numbers VALUES (:n)'), {'n': number}
    )


def test_what_write_returned_from_is_there(numbers):
    numbers.write(insert(1))
    assert numbers.read(lambda connection: connection.scalar(COUNT)) == 1


@pytest.mark.parametrize('error', [ValueError('no'), LostLease('t1.1')])
def test_what_raises_is_taken_back_and_passes(numbers, error):
    def half(connection):
        insert(1)(connection)
        raise error

    with pytest.raises(type(error)):
        numbers.write(half)
    assert numbers.read(lambda connection: connection.scalar(COUNT)) == 0


def test_those_that_share_a_commit_do_not_share_a_failure(numbers):
    outcomes = {}

    def write(number):
        try:
            numbers.write(insert(number % 10))
            outcomes[number] = True
        except errors.WriteRefused:
            outcomes[number] = False

    writing = [threading.Thread(target=write, args=(number,)) for number in range(20)]
    for thread in writing:
        thread.start()
    for thread in writing:
        thread.join()
    assert sorted(outcomes.values()) == [False] * 10 + [True] * 10
    assert numbers.read(lambda connection: connection.scalar(COUNT)) == 10


def test_the_writer_is_durable_and_readers_do_not_wait(numbers):
    assert (
        numbers.write(lambda connection: connection.scalar(sa.text('PRAGMA synchronous'))) == 2
    )  # FULL
    assert (
        numbers.write(lambda connection: connection.scalar(sa.text('PRAGMA journal_mode')))
        == 'wal'
    )


def test_an_error_of_the_database_is_one_of_ours(numbers):
    with pytest.raises(errors.DatabaseUnavailable):
        numbers.read(lambda connection: connection.execute(sa.text('SELECT * FROM nothing')))
    with pytest.raises(errors.DatabaseUnavailable):
        numbers.write(lambda connection: connection.execute(sa.text('DELETE FROM nothing')))
    numbers.write(insert(1))  # and it goes on


def test_a_write_that_a_constraint_refuses_is_one_line_and_none_of_ours(numbers, caplog):
    numbers.write(insert(1))
    with pytest.raises(errors.WriteRefused):
        numbers.write(insert(1))
    [line] = caplog.messages
    assert 'UNIQUE constraint failed' in line


def test_a_file_that_is_no_database_is_unavailable(tmp_path):
    (tmp_path / 'file').write_text('nothing of a database' * 99)
    opened = sessions.open_database(f'sqlite:///{tmp_path}/file')
    with pytest.raises(errors.DatabaseUnavailable):
        opened.read(lambda connection: connection.scalar(COUNT))
    opened.close()


@pytest.mark.parametrize(
    ('url', 'fact'),
    [
        ('sqlite://', 'in memory'),
        ('sqlite:///:memory:', 'in memory'),
        ('oracle://a/b', 'oracle'),
        ('not a url', 'no address of a database'),
    ],
)
def test_an_url_that_cannot_be_served_is_refused(url, fact):
    with pytest.raises(errors.ConfigError, match=fact):
        sessions.open_database(url)


def test_the_first_write_does_not_wait_for_a_lock_of_the_log(tmp_path):
    """A green lock that a native thread waits for is never handed to it."""
    database = sessions.open_database(f'sqlite:///{tmp_path}/first.sqlite')
    written = threading.Event()
    writers = []

    def log_and_write():
        writers.append(threads.current())
        with logging._lock:  # held while SQLAlchemy makes its loggers
            database.write(lambda connection: connection.exec_driver_sql('CREATE TABLE t (n INT)'))
        written.set()

    threading.Thread(target=log_and_write, daemon=True).start()
    in_time = written.wait(10)
    if not in_time:
        threads.interrupt(writers[0], TimeoutError())  # the report of a failure takes that lock
    assert in_time
    database.close()


def test_a_write_whose_caller_has_given_up_is_not_made_later(numbers, tmp_path):
    numbers.write(insert(1))
    with contextlib.closing(sqlite3.connect(tmp_path / 'numbers.sqlite')) as other:
        other.execute('BEGIN IMMEDIATE')
        with pytest.raises(errors.DatabaseUnavailable), deadlines.within(0.1):
            numbers.write(insert(2))
        other.rollback()
    numbers.write(insert(3))  # after all that waited
    written = numbers.read(
        lambda connection: connection.scalars(sa.text('SELECT n FROM numbers')).all()
    )
    assert written == [1, 3]


def opened(database):
    """A list that grows by each connection that this database opens."""
    connections = []
    sa.event.listen(database.engine, 'connect', lambda *made: connections.append(made))
    return connections


def count(database):
    return database.read(lambda connection: connection.scalar(COUNT))


def test_a_reader_sees_one_state_and_the_next_one_a_newer_state(numbers):
    connections = opened(numbers)

    def twice(connection):
        before = connection.scalar(COUNT)
        numbers.write(insert(1))
        return before, connection.scalar(COUNT)

    assert numbers.read(twice) == (0, 0)
    assert count(numbers) == 1
    assert len(connections) == 1


def test_after_an_error_a_reader_goes_on_with_its_connection(numbers):
    connections = opened(numbers)
    with pytest.raises(errors.DatabaseUnavailable):
        numbers.read(lambda connection: connection.execute(sa.text('SELECT * FROM nothing')))
    with pytest.raises(ValueError, match='no'):
        numbers.read(lambda _connection: int('no'))
    assert count(numbers) == count(numbers) == 0
    assert len(connections) == 1
    numbers.write(insert(1))
    assert count(numbers) == 1  # it does not see an old state


def test_readers_at_the_same_time_have_connections_of_their_own(numbers):
    connections = opened(numbers)

    def nested(left):
        return numbers.read(lambda _connection: nested(left - 1)) if left else count(numbers)

    for _ in range(2):
        assert nested(sqlite.MOST_IDLE + 1) == 0
    assert len(connections) == sqlite.MOST_IDLE + 2 + 2  # those beyond MOST_IDLE were closed


FORK = """
import os, sys
import sqlalchemy as sa
from glance.db import sessions

database = sessions.open_database(sys.argv[1])
connections = []
sa.event.listen(database.engine, 'connect', lambda *made: connections.append(made))

def count():
    return database.read(lambda connection: connection.scalar(sa.text('SELECT count(*) FROM n')))

database.write(lambda connection: connection.execute(sa.text('CREATE TABLE n (n INTEGER)')))
connections.clear()
assert count() == count() == 0
assert len(connections) == 1
child = os.fork()
assert count() == 0
assert len(connections) == (2 if child == 0 else 1)
if child:
    assert os.waitpid(child, 0)[1] == 0
    assert count() == 0
"""


def test_a_forked_process_reads_from_a_connection_of_its_own(tmp_path):
    url = f'sqlite:///{tmp_path}/forked.sqlite'
    subprocess.run([sys.executable, '-c', FORK, url], check=True)
