"""Running transactions on each kind of database: read(function) and write(function).

function(connection) runs inside the transaction, and its result is returned. It
may be called several times, so it must have no other effect. A function that
writes must not let other green threads run: no log line, queue, socket or sleep.

Errors of the database become DatabaseUnavailable, and so does an answer that does
not come in time (deadlines.TRANSACTION_TIME). An exception that the function raises
is passed on, and its writes are rolled back.
"""

import abc
import collections.abc
import typing

import sqlalchemy as sa
from sqlalchemy import exc

from glance.domain import errors

T = typing.TypeVar('T')
Function = collections.abc.Callable[[sa.Connection], T]

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

    def connect(self) -> None:
        """Connect once, to see whether that is possible. Raises what errors names."""
        self.engine.connect().close()

    @abc.abstractmethod
    def read(self, function: Function[T], *, for_run: bool = False) -> T:
        """Call function(connection) in a transaction that only reads.

        for_run  a run asks, and not a request: it uses no connection that is kept for requests
        """

    @abc.abstractmethod
    def write(self, function: Function[T], *, urgent: bool = False, for_run: bool = False) -> T:
        """Call function(connection) in a transaction; it is durable when this returns.

        urgent   a client waits for the answer: run this before other waiting writes
        for_run  as for read()
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Close all connections."""


def open_database(
    connection: str | sa.URL, *, limited: bool = True, **pooling: typing.Any
) -> Database:
    """The database at a SQLAlchemy URL. It is connected to when it is first used.

    limited  whether transactions must end in time; commands of an operator may take longer
    pooling  options of [database], for a server

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
            from glance.db.sqlite import SqliteDatabase

            if not url.database or url.database == ':memory:':
                raise errors.ConfigError(
                    '[database] connection names an SQLite database in memory; several '
                    'connections need the same one, so give it a file.'
                )
            return SqliteDatabase(url, limited=limited)
        if name in ('postgresql', 'mysql'):
            from glance.db.servers import ServerDatabase

            return ServerDatabase(url, limited=limited, **pooling)
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
