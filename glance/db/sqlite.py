"""SQLite in a file: one native thread of each process writes."""

import collections
import collections.abc
import contextlib
import functools
import os
import sqlite3
import threading
import typing

import sqlalchemy as sa
from sqlalchemy import event, exc, pool

from glance import native_threads
from glance.db import deadlines, outages
from glance.db.sessions import Database, Function, T

# How long SQLite waits for the transaction of another process. Seconds.
BUSY_TIMEOUT = 10
# How many connections that nobody reads from stay open.
MOST_IDLE = 8


class _Write:
    """A function that waits to be run as a write. It is run, or its caller gives up, not both.

    urgent  it goes before others
    """

    def __init__(self, function: Function[typing.Any], urgent: bool) -> None:
        self.urgent = urgent
        # Its one item goes to the thread that takes it first; a deque needs no lock for that.
        self._function = collections.deque([function])

    def take(self) -> Function[typing.Any] | None:
        """The function, or None if it was taken before."""
        try:
            return self._function.pop()
        except IndexError:
            return None


class SqliteDatabase(Database):
    """SQLite in a file. The caller's thread reads; one native thread writes.

    All writes that wait share one commit; each has a savepoint. So the hub never
    waits for the disk, and writers of this process never wait for locks.
    """

    dialect = 'sqlite'

    def __init__(self, url: sa.URL, *, limited: bool = True) -> None:
        self._seconds = deadlines.TRANSACTION_TIME if limited else None
        self.engine = sa.create_engine(
            url,
            hide_parameters=True,  # in errors and logs
            poolclass=pool.NullPool,
            connect_args={
                'check_same_thread': False,
                'isolation_level': None,
                'timeout': BUSY_TIMEOUT,
            },
        )
        event.listen(self.engine, 'connect', _on_connect)
        event.listen(self.engine, 'begin', lambda connection: _execute(connection, 'BEGIN'))
        self._readers: collections.deque[tuple[int, sa.Connection]] = collections.deque()
        self._starting = threading.Lock()
        # Made at the first write: the process may fork before it.
        self._batcher: native_threads.Batcher | None = None
        self._writer: sa.Connection | None = None

    def read(self, function: Function[T], *, for_run: bool = False) -> T:
        with outages.Named():
            connection = self._reader()
            try:
                _execute(connection, 'BEGIN')
                return function(connection)
            finally:
                self._give_back(connection)

    def _reader(self) -> sa.Connection:
        """A connection that nobody else uses."""
        with contextlib.suppress(IndexError):
            while True:
                process, connection = self._readers.pop()
                if process == os.getpid():  # SQLite forbids to use those of a parent
                    return connection
        return self._open()

    def _give_back(self, connection: sa.Connection) -> None:
        """Keep a reader for the next read, unless it cannot be used or enough are kept."""
        try:
            _execute(connection, 'ROLLBACK')
        except exc.SQLAlchemyError:  # it could not begin, or is broken
            connection.close()
            return
        if len(self._readers) < MOST_IDLE:
            self._readers.append((os.getpid(), connection))
        else:
            connection.close()

    def _open(self) -> sa.Connection:
        """A connection whose transactions are begun and ended by _execute().

        What SQLAlchemy does at the begin and the end takes twice as long as a typical read.
        """
        connection = self.engine.connect()
        connection.begin()  # as SQLAlchemy sees it, this one never ends
        _execute(connection, 'ROLLBACK')
        return connection

    def write(self, function: Function[T], *, urgent: bool = False, for_run: bool = False) -> T:
        write = _Write(function, urgent)
        with outages.Named():
            batcher = self._batcher or self._start_batcher()
            try:
                return typing.cast(T, batcher.ask(write, deadlines.left(self._seconds)))
            except TimeoutError:
                write.take()  # so that the writer skips it
                raise exc.TimeoutError(
                    'the database is locked, or its disk does not answer'
                ) from None

    def _start_batcher(self) -> native_threads.Batcher:
        with self._starting:
            if self._batcher is None:
                # Opened here, not in the native thread: SQLAlchemy makes loggers for it, and
                # a native thread that waits for the green lock of logging waits for ever.
                self._writer = writer = self._open()
                self._batcher = native_threads.Batcher(
                    functools.partial(self._commit, writer), 'sqlite-writer'
                )
            return self._batcher

    def close(self) -> None:
        if self._batcher is not None:
            self._batcher.stop().result()
            self._batcher = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        while self._readers:
            self._readers.pop()[1].close()

    def _commit(
        self,
        connection: sa.Connection,
        batch: list[tuple[_Write, native_threads.Future[typing.Any]]],
    ) -> None:
        """Run all waiting writes as one transaction. Called in the thread that writes."""
        results: list[tuple[collections.abc.Callable[..., None], typing.Any]] = []
        try:
            _execute(connection, 'BEGIN IMMEDIATE')
            for write, future in sorted(batch, key=lambda item: not item[0].urgent):
                function = write.take()
                if function is None:
                    continue  # its caller has given up
                _execute(connection, 'SAVEPOINT one')
                try:
                    value = function(connection)
                except BaseException as error:  # a Drop must be rolled back as well
                    _execute(connection, 'ROLLBACK TO one')
                    results.append((future.set_exception, error))
                else:
                    results.append((future.set_result, value))
                _execute(connection, 'RELEASE one')
            _execute(connection, 'COMMIT')
        except BaseException:
            with contextlib.suppress(exc.DBAPIError):
                _execute(connection, 'ROLLBACK')
            raise
        for answer, value in results:
            answer(value)


def _execute(connection: sa.Connection, statement: str) -> None:
    """Execute a statement by the driver; by SQLAlchemy, it takes ten times as long."""
    driver: typing.Any = connection.connection.driver_connection
    try:
        driver.execute(statement)
    except sqlite3.Error as error:
        raise exc.OperationalError(statement, None, error) from error


def _on_connect(connection: typing.Any, _record: typing.Any) -> None:
    cursor = connection.cursor()
    cursor.execute('PRAGMA journal_mode = WAL')
    cursor.execute('PRAGMA synchronous = FULL')
    cursor.execute('PRAGMA foreign_keys = ON')
    cursor.close()
