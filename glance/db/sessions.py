"""How transactions are run: read(function) and write(function), on every database.

A function takes a connection, has no other effect, and may be called again;
what it returns is returned. A function that writes must not yield: no log
line, queue, socket or sleep inside. Errors of the database itself become
DatabaseUnavailable; what the function raises passes, and its writes are taken
back.
"""

import abc
import contextlib
import logging
import threading

import sqlalchemy as sa
from sqlalchemy import event, exc, pool

from glance import threads
from glance.domain import errors

LOG = logging.getLogger(__name__)

# How long SQLite waits for another process's transaction. Seconds.
BUSY_TIMEOUT = 10


class Database(abc.ABC):
    """A database of this process."""

    dialect = ''  # 'sqlite', 'postgresql', 'mysql'
    engine = None  # SQLAlchemy's, for migrations

    @abc.abstractmethod
    def read(self, function):
        """Call function(connection) in a transaction that only reads."""

    @abc.abstractmethod
    def write(self, function, *, urgent=False):
        """Call function(connection) in a transaction; it is durable when this returns.

        urgent  somebody waits for an answer: go before those that wait as well
        """

    @abc.abstractmethod
    def close(self):
        """Give all connections back."""


def open_database(connection, **pooling):
    """The database at a SQLAlchemy URL; nothing is connected to before it is used.

    Raises ConfigError for an URL that cannot be served.
    """
    try:
        url = sa.make_url(connection)
        name = url.get_backend_name()
        if name == 'sqlite':
            if not url.database or url.database == ':memory:':
                raise errors.ConfigError(
                    '[database] connection names an SQLite database in memory; several '
                    'connections need the same one, so give it a file.'
                )
            return SqliteDatabase(url)
        if name in ('postgresql', 'mysql'):
            return ServerDatabase(url, **pooling)
    except exc.ArgumentError as error:
        raise errors.ConfigError(f'[database] connection cannot be used: {error}') from None
    except ImportError as error:
        raise errors.ConfigError(
            f'[database] connection needs a driver that is not installed: {error}'
        ) from None
    raise errors.ConfigError(
        f'[database] connection names "{name}"; sqlite, postgresql and mysql are served.'
    )


class SqliteDatabase(Database):
    """SQLite in a file: reads where they are asked for, writes in one native thread.

    Writes that wait share one commit, a savepoint each. So the hub never waits
    for the disk, and no two writers of this process meet.
    """

    dialect = 'sqlite'

    def __init__(self, url):
        self._url = url
        self.engine = sa.create_engine(
            url,
            poolclass=pool.QueuePool,
            pool_size=8,
            max_overflow=-1,
            connect_args={
                'check_same_thread': False,
                'isolation_level': None,
                'timeout': BUSY_TIMEOUT,
            },
        )
        event.listen(self.engine, 'connect', _on_connect)
        event.listen(self.engine, 'begin', _begin_read)
        self._starting = threading.Lock()
        self._batcher = None  # made at the first write, so after a fork
        self._writer = None

    def read(self, function):
        try:
            with self.engine.connect() as connection:
                return function(connection)
        except exc.OperationalError as error:
            raise _unavailable(error) from error

    def write(self, function, *, urgent=False):
        if self._batcher is None:
            with self._starting:
                if self._batcher is None:
                    self._batcher = threads.Batcher(self._commit, 'sqlite-writer')
        try:
            return self._batcher.ask((not urgent, function))
        except exc.OperationalError as error:
            raise _unavailable(error) from error

    def close(self):
        if self._batcher is not None:
            self._batcher.stop().wait()
            self._batcher = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self.engine.dispose()

    def _commit(self, asked):
        """Run what waits as one transaction. Called in the writer's thread."""
        connection = self._connection()
        answers = []
        try:
            connection.exec_driver_sql('BEGIN IMMEDIATE')
            for (_later, function), reply in sorted(asked, key=lambda one: one[0][0]):
                connection.exec_driver_sql('SAVEPOINT one')
                try:
                    value = function(connection)
                except BaseException as error:  # a drop must roll back as well
                    connection.exec_driver_sql('ROLLBACK TO one')
                    answers.append((reply.fail, error))
                else:
                    answers.append((reply.give, value))
                connection.exec_driver_sql('RELEASE one')
            connection.exec_driver_sql('COMMIT')
        except BaseException:
            with contextlib.suppress(exc.DBAPIError):
                connection.exec_driver_sql('ROLLBACK')
            raise
        for answer, value in answers:
            answer(value)

    def _connection(self):
        if self._writer is None:
            engine = sa.create_engine(
                self._url,
                poolclass=pool.NullPool,
                connect_args={
                    'check_same_thread': False,
                    'isolation_level': None,
                    'timeout': BUSY_TIMEOUT,
                },
            )
            event.listen(engine, 'connect', _on_connect)
            self._writer = engine.connect()
        return self._writer


def _on_connect(connection, _record):
    cursor = connection.cursor()
    cursor.execute('PRAGMA journal_mode = WAL')
    cursor.execute('PRAGMA synchronous = FULL')
    cursor.execute('PRAGMA foreign_keys = ON')
    cursor.close()


def _begin_read(connection):
    connection.exec_driver_sql('BEGIN')


class ServerDatabase(Database):
    """A database server, by oslo.db; deadlocks and serialization failures are tried again."""

    def __init__(self, url, **pooling):
        from oslo_db import api
        from oslo_db.sqlalchemy import engines

        self.dialect = url.get_backend_name()
        # max_retries 0: the first connection fails at once, who waits is decided by callers
        self.engine = engines.create_engine(url, max_retries=0, logging_name=None, **pooling)
        self._again = api.wrap_db_retry(
            max_retries=10,
            retry_on_deadlock=True,
            retry_interval=0.02,
            inc_retry_interval=True,
            max_retry_interval=1,
            exception_checker=_is_in_the_way,
        )

    def read(self, function):
        return self._run(function)

    def write(self, function, *, urgent=False):
        return self._run(function)

    def close(self):
        self.engine.dispose()

    def _run(self, function):
        from oslo_db import exception

        def once():
            with self.engine.begin() as connection:
                return function(connection)

        try:
            return self._again(once)()
        except (exception.DBConnectionError, exception.DBDeadlock) as error:
            raise _unavailable(error) from error
        except exc.OperationalError as error:
            raise _unavailable(error) from error


def _is_in_the_way(error):
    """Whether a transaction failed because of another one, where oslo.db does not say so.

    SQLSTATE 40001 of PostgreSQL, and 1020 of MariaDB (innodb_snapshot_isolation).
    """
    original = getattr(error, 'orig', None)
    return getattr(original, 'pgcode', None) == '40001' or (
        isinstance(error, exc.DBAPIError) and getattr(original, 'args', (0,))[:1] == (1020,)
    )


def _unavailable(error):
    LOG.warning(
        'The database does not answer as it should: %s',
        getattr(error, 'orig', None) or error,
        extra={'action': 'database_error'},
    )
    return errors.DatabaseUnavailable()
