"""PostgreSQL, MariaDB and MySQL, by oslo.db."""

import collections.abc
import contextlib
import random
import threading
import time
import typing

import sqlalchemy as sa
from sqlalchemy import event, exc

from glance.db import connecting, deadlines, outages
from glance.db.sessions import Database, Function, T

# The options of [database] where a caller names none.
POOLING = {'max_pool_size': 10, 'max_overflow': 5, 'pool_timeout': deadlines.TRANSACTION_TIME}
KEPT_FOR_REQUESTS = 3  # one in so many connections is not for runs
# Seconds before a transaction is repeated that another one was in the way of.
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0


class ServerDatabase(Database):
    """A database server. Transactions are repeated after deadlocks and serialization failures."""

    def __init__(self, url: sa.URL, *, limited: bool = True, **pooling: typing.Any) -> None:
        from oslo_db import exception
        from oslo_db.sqlalchemy import engines

        self.dialect = url.get_backend_name()
        if self.dialect == 'mysql':  # utf8 has three bytes at most there
            url = url.set(query={'charset': 'utf8mb4'} | dict(url.query))
        self.errors = (exc.SQLAlchemyError, exception.DBError)
        self._limited = limited
        self._was_connected = False
        options = POOLING | pooling
        if not options.get('mysql_sql_mode'):
            options['mysql_sql_mode'] = None  # of the server; a text would be set, even an empty
        self._connections = _Connections(
            options['max_pool_size'] + options['max_overflow'], options['pool_timeout']
        )
        # max_retries=0: a connection that fails is an error at once; callers decide how to wait.
        self.engine = engines.create_engine(url, max_retries=0, logging_name=None, **options)
        self.engine.hide_parameters = True  # in errors and logs
        connect = connecting.connector(self.engine.dialect.loaded_dbapi)
        if connect is not None:
            event.listen(self.engine, 'do_connect', lambda *values: connect(values[-1]))
        event.listen(self.engine, 'connect', self._set_limits)

    def _set_limits(self, connection: typing.Any, _record: typing.Any) -> None:
        """Set the limits of a new connection. pgbouncer refuses them as options of the start."""
        if self.dialect == 'postgresql':
            limits = {'idle_in_transaction_session_timeout': f"'{deadlines.IDLE_TIME}s'"}
            if self._limited:
                limits['lock_timeout'] = f"'{deadlines.LOCK_TIME}s'"
                limits['statement_timeout'] = f"'{deadlines.STATEMENT_TIME}s'"
            statement = '; '.join(f'SET {name} = {value}' for name, value in limits.items())
        else:
            statement = self._mysql_limits()
        if statement:
            with contextlib.closing(connection.cursor()) as cursor:
                cursor.execute(statement)
            connection.commit()  # a rollback would take the settings back

    def _mysql_limits(self) -> str:
        limits = {}
        is_mariadb = getattr(self.engine.dialect, 'is_mariadb', False)
        if is_mariadb:
            limits['idle_transaction_timeout'] = deadlines.IDLE_TIME
        if self._limited:
            limits['innodb_lock_wait_timeout'] = limits['lock_wait_timeout'] = deadlines.LOCK_TIME
            if is_mariadb:
                limits['max_statement_time'] = deadlines.STATEMENT_TIME
            else:  # of MySQL, for SELECT only
                limits['max_execution_time'] = deadlines.STATEMENT_TIME * 1000
        settings = ', '.join(f'{name} = {value}' for name, value in limits.items())
        return settings and f'SET SESSION {settings}'

    def connect(self) -> None:
        try:
            super().connect()
        except (exc.ResourceClosedError, NotImplementedError) as error:
            # SQLAlchemy asks a server some things on the first connection. If that one breaks
            # meanwhile, an error may come that nobody expects.
            raise exc.DisconnectionError(connecting.LATE) from error
        self._was_connected = True

    def read(self, function: Function[T], *, for_run: bool = False) -> T:
        return self._run(function, for_run)

    def write(self, function: Function[T], *, urgent: bool = False, for_run: bool = False) -> T:
        return self._run(function, for_run)

    def close(self) -> None:
        self.engine.dispose()

    def _run(self, function: Function[T], for_run: bool) -> T:
        seconds = deadlines.TRANSACTION_TIME if self._limited else None
        with outages.Named(), deadlines.within(seconds), self._connections.one(for_run):
            if not self._was_connected:
                self.connect()
            pause = FIRST_PAUSE
            while True:
                try:
                    with self.engine.begin() as connection:
                        return function(connection)
                except Exception as error:
                    left = deadlines.left()
                    if not outages.is_conflict(error) or (left is not None and left < pause):
                        raise
                # At random, so that the two do not meet again.
                time.sleep(random.uniform(0, pause))
                pause = min(2 * pause, LONGEST_PAUSE)


class _Connections:
    """Bounds how many transactions have a connection. Some are kept for requests.

    size     connections that the pool of the engine gives at most
    patience seconds to wait for one; a deadline may be earlier
    """

    def __init__(self, size: int, patience: float) -> None:
        self._patience = patience
        self._all = threading.Semaphore(size)
        self._of_runs = threading.Semaphore(max(1, size - size // KEPT_FOR_REQUESTS))

    @contextlib.contextmanager
    def one(self, for_run: bool) -> collections.abc.Iterator[None]:
        """Wait for the turn of the block. Raises TimeoutError of SQLAlchemy."""
        with contextlib.ExitStack() as taken:
            for places in (self._of_runs, self._all) if for_run else (self._all,):
                left = deadlines.left()
                seconds = self._patience if left is None else min(left, self._patience)
                if not places.acquire(timeout=seconds):
                    raise exc.TimeoutError('all connections of this process are in use')
                taken.callback(places.release)
            yield
