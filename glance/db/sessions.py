"""Running transactions on each kind of database: read(function) and write(function).

function(connection) runs inside the transaction, and its result is returned. It
may be called several times, so it must have no other effect. A function that
writes must not let other green threads run: no log line, queue, socket or sleep.

Errors of the database become DatabaseUnavailable. An exception that the function
raises is passed on, and its writes are rolled back.
"""

import abc
import collections.abc
import contextlib
import functools
import logging
import re
import threading
import typing

import sqlalchemy as sa
from sqlalchemy import event, exc, pool

from glance import threads
from glance.domain import errors

LOG = logging.getLogger(__name__)
# oslo.db logs a traceback of each error that it does not know. Each is raised as well.
logging.getLogger('oslo_db.sqlalchemy.exc_filters').addFilter(lambda record: False)

T = typing.TypeVar('T')
Function = collections.abc.Callable[[sa.Connection], T]

# How long SQLite waits for the transaction of another process. Seconds.
BUSY_TIMEOUT = 10
# How long a server waits for the next statement of a transaction. Then it closes the connection,
# so that a process that was stopped amid a transaction does not keep its locks. Seconds.
IDLE_TIMEOUT = 10

# The drivers of the extras, for URLs that name none.
DRIVERS = {
    'postgresql': 'postgresql+psycopg2',
    'postgres': 'postgresql+psycopg2',
    'mysql': 'mysql+pymysql',
    'mariadb': 'mysql+pymysql',
    'mariadb+pymysql': 'mysql+pymysql',
}


class Database(abc.ABC):
    """A database."""

    dialect: str  # 'sqlite', 'postgresql', 'mysql'
    engine: sa.Engine  # for migrations
    # What the engine raises if the database cannot be used.
    errors: tuple[type[Exception], ...] = (exc.SQLAlchemyError,)

    @abc.abstractmethod
    def read(self, function: Function[T]) -> T:
        """Call function(connection) in a transaction that only reads."""

    @abc.abstractmethod
    def write(self, function: Function[T], *, urgent: bool = False) -> T:
        """Call function(connection) in a transaction; it is durable when this returns.

        urgent  a client waits for the answer: run this before other waiting writes
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Close all connections."""


def open_database(connection: str | sa.URL, **pooling: typing.Any) -> Database:
    """The database at a SQLAlchemy URL. It is connected to when it is first used.

    Raises ConfigError for a URL that is not supported.
    """
    try:
        url = _with_driver(sa.make_url(connection))
        name = url.get_backend_name()
        if '@' in (url.host or '') or (name != 'sqlite' and '@' in (url.database or '')):
            raise errors.ConfigError(
                '[database] connection has a bare "@" in its user or password; write %40.'
            )
        if name == 'sqlite':
            if not url.database or url.database == ':memory:':
                raise errors.ConfigError(
                    '[database] connection names an SQLite database in memory; several '
                    'connections need the same one, so give it a file.'
                )
            return SqliteDatabase(url)
        if name in ('postgresql', 'mysql'):
            return ServerDatabase(url, **pooling)
    except (exc.ArgumentError, ValueError):  # its text may have the password in it
        raise errors.ConfigError('[database] connection is no address of a database.') from None
    except ImportError as error:
        raise errors.ConfigError(
            f'[database] connection needs a driver that is not installed: {error}. The extras '
            'postgresql and mysql of this service install drivers.'
        ) from None
    raise errors.ConfigError(
        f'[database] connection names "{name}"; sqlite, postgresql and mysql are supported.'
    )


def _with_driver(url: sa.URL) -> sa.URL:
    """A URL with the driver that this service brings, if it names none."""
    return url.set(drivername=DRIVERS.get(url.drivername, url.drivername))


class SqliteDatabase(Database):
    """SQLite in a file. The caller's thread reads; one native thread writes.

    All writes that wait share one commit; each has a savepoint. So the hub never
    waits for the disk, and writers of this process never wait for locks.
    """

    dialect = 'sqlite'

    def __init__(self, url: sa.URL) -> None:
        self._url = url
        self.engine = sa.create_engine(
            url,
            hide_parameters=True,  # in errors and logs
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
        # Made at the first write: the process may fork before it.
        self._batcher: threads.Batcher | None = None
        self._writer: sa.Connection | None = None

    def read(self, function: Function[T]) -> T:
        with _named(), self.engine.connect() as connection:
            return function(connection)

    def write(self, function: Function[T], *, urgent: bool = False) -> T:
        with _named():
            batcher = self._batcher or self._start_batcher()
            return typing.cast(T, batcher.ask((not urgent, function)))

    def _start_batcher(self) -> threads.Batcher:
        with self._starting:
            if self._batcher is None:
                # Opened here, not in the native thread: SQLAlchemy makes loggers for it, and
                # a native thread that waits for the green lock of logging waits for ever.
                self._writer = writer = self._open_writer()
                self._batcher = threads.Batcher(
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
        self.engine.dispose()

    def _commit(
        self,
        connection: sa.Connection,
        batch: list[tuple[tuple[bool, collections.abc.Callable[..., typing.Any]], typing.Any]],
    ) -> None:
        """Run all waiting writes as one transaction. Called in the thread that writes.

        batch  ((is not urgent, function), Future) for each write
        """
        results: list[tuple[collections.abc.Callable[..., None], typing.Any]] = []
        try:
            connection.exec_driver_sql('BEGIN IMMEDIATE')
            for (_later, function), future in sorted(batch, key=lambda write: write[0][0]):
                connection.exec_driver_sql('SAVEPOINT one')
                try:
                    value = function(connection)
                except BaseException as error:  # a Drop must be rolled back as well
                    connection.exec_driver_sql('ROLLBACK TO one')
                    results.append((future.set_exception, error))
                else:
                    results.append((future.set_result, value))
                connection.exec_driver_sql('RELEASE one')
            connection.exec_driver_sql('COMMIT')
        except BaseException:
            with contextlib.suppress(exc.DBAPIError):
                connection.exec_driver_sql('ROLLBACK')
            raise
        for answer, value in results:
            answer(value)

    def _open_writer(self) -> sa.Connection:
        engine = sa.create_engine(
            self._url,
            poolclass=pool.NullPool,
            hide_parameters=True,
            connect_args={
                'check_same_thread': False,
                'isolation_level': None,
                'timeout': BUSY_TIMEOUT,
            },
        )
        event.listen(engine, 'connect', _on_connect)
        return engine.connect()


def _on_connect(connection: typing.Any, _record: typing.Any) -> None:
    cursor = connection.cursor()
    cursor.execute('PRAGMA journal_mode = WAL')
    cursor.execute('PRAGMA synchronous = FULL')
    cursor.execute('PRAGMA foreign_keys = ON')
    cursor.close()


def _begin_read(connection: sa.Connection) -> None:
    connection.exec_driver_sql('BEGIN')


class ServerDatabase(Database):
    """A database server, by oslo.db. It retries after deadlocks and serialization failures."""

    def __init__(self, url: sa.URL, **pooling: typing.Any) -> None:
        from oslo_db import api, exception
        from oslo_db.sqlalchemy import engines

        self.dialect = url.get_backend_name()
        self.errors = (exc.SQLAlchemyError, exception.DBError)
        # max_retries=0: a connection that fails is an error at once; callers decide how to wait.
        self.engine = engines.create_engine(url, max_retries=0, logging_name=None, **pooling)
        self.engine.hide_parameters = True  # in errors and logs
        event.listen(self.engine, 'connect', self._limit_idle_time)
        self._retry = api.wrap_db_retry(
            max_retries=10,
            retry_on_deadlock=True,
            retry_interval=0.02,
            inc_retry_interval=True,
            max_retry_interval=1,
            exception_checker=_is_serialization_conflict,
        )

    def _limit_idle_time(self, connection: typing.Any, _record: typing.Any) -> None:
        if self.dialect == 'postgresql':
            statement = f"SET idle_in_transaction_session_timeout = '{IDLE_TIMEOUT}s'"
        elif getattr(self.engine.dialect, 'is_mariadb', False):
            statement = f'SET SESSION idle_transaction_timeout = {IDLE_TIMEOUT}'
        else:
            return  # MySQL has no such limit
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(statement)
        connection.commit()  # a rollback would take the setting back

    def read(self, function: Function[T]) -> T:
        return self._run(function)

    def write(self, function: Function[T], *, urgent: bool = False) -> T:
        return self._run(function)

    def close(self) -> None:
        self.engine.dispose()

    def _run(self, function: Function[T]) -> T:
        def once() -> T:
            with self.engine.begin() as connection:
                return function(connection)

        with _named():
            return typing.cast(T, self._retry(once)())


def _is_serialization_conflict(error: BaseException) -> bool:
    """Whether a transaction failed because of another one. oslo.db does not know these errors.

    SQLSTATE 40001 of PostgreSQL, and error 1020 of MariaDB (innodb_snapshot_isolation).
    """
    original = getattr(error, 'orig', None)
    return getattr(original, 'pgcode', None) == '40001' or (
        isinstance(error, exc.DBAPIError) and getattr(original, 'args', (0,))[:1] == (1020,)
    )


# SQLSTATE of PostgreSQL for what is wrong with a database and not with this service: no rights,
# read-only, no such database, schema, table or column, no room, no server.
_OPERATORS = re.compile('42501|25006|3D000|3F000|42P01|42703|(08|53|54|55|57|58|XX)...')
# Errors of MariaDB and MySQL for the same, where the driver has no OperationalError.
_OPERATORS_NUMBERS = {1046, 1049, 1054, 1142, 1143, 1146, 1290}
_CHECK_FAILED = {3819, 4025}  # of MySQL and MariaDB, no IntegrityError of the driver


@contextlib.contextmanager
def _named() -> collections.abc.Iterator[None]:
    """Turn errors of the database into ours, after one log line; errors of a statement pass."""
    try:
        yield
    except Exception as error:
        kind = _kind(error)
        if kind is None:
            raise
        LOG.warning(
            'The database does not answer as it should: %s',
            reason(error),
            extra={'action': 'database_error'},
        )
        raise kind from error


def _kind(error: Exception) -> errors.DatabaseUnavailable | None:
    """What to raise for an error of SQLAlchemy or oslo.db. None: it is none of the database."""
    names = {cls.__name__ for cls in type(error).__mro__}
    inner = getattr(error, 'inner_exception', None) or error
    original = _of_driver(error)
    code = getattr(original, 'pgcode', None)
    number = next(iter(original.args), None) if isinstance(inner, exc.DBAPIError) else None
    if isinstance(inner, exc.IntegrityError) or number in _CHECK_FAILED:
        return errors.WriteRefused()
    if (
        isinstance(inner, exc.OperationalError | exc.TimeoutError | exc.DisconnectionError)
        or type(inner) is exc.DatabaseError  # as of SQLite, if the file is none of a database
        or names & {'DBConnectionError', 'DBDeadlock'}
        or (code and _OPERATORS.fullmatch(code))
        or number in _OPERATORS_NUMBERS
    ):
        return errors.DatabaseUnavailable()
    return None


def _of_driver(error: BaseException) -> BaseException:
    """What the driver raised; SQLAlchemy wraps it, and oslo.db once more."""
    inner = getattr(error, 'inner_exception', None) or error
    return getattr(inner, 'orig', None) or inner


def reason(error: BaseException) -> str:
    """What the driver says of an error, in one line. Values of a statement are left out."""
    said = re.split(r'\n(?:DETAIL|CONTEXT|LINE \d+):', str(_of_driver(error)))[0]
    return ' '.join(said.split())
