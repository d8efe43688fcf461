"""The configured database: its URL, and the checks before it is used."""

import collections.abc
import contextlib
import fcntl
import pathlib
import re

import sqlalchemy as sa
from oslo_config import cfg

from glance.db import deadlines, deployment, migrations, outages, sessions
from glance.domain import errors
from glance.domain.import_filter import mask
from glance.folders import Folders
from glance.image_data import deployment_marker


def database_url(conf: cfg.ConfigOpts, folders: Folders) -> str | sa.URL:
    """The configured URL. Without one, the URL of a file in the state folder."""
    return conf.database.connection or sa.URL.create(
        'sqlite', database=str(folders.state / 'glance.sqlite')
    )


def shown_database(conf: cfg.ConfigOpts, folders: Folders) -> str:
    """The URL for logs and messages, without its password. Raises ConfigError."""
    try:
        return mask(sa.make_url(database_url(conf, folders)).render_as_string(hide_password=True))
    except (sa.exc.ArgumentError, ValueError):  # ValueError: the port is no number
        raise errors.ConfigError('[database] connection is no address of a database.') from None


@contextlib.contextmanager
def errors_named(
    database: sessions.Database, name: str
) -> collections.abc.Iterator[sessions.Database]:
    """Use a database, and close it at the end. Raises ConfigError if it cannot be used.

    name  of the database in the message
    """
    try:
        _connect(database)
        yield database
    except database.errors as error:
        raise errors.ConfigError(f'{name} cannot be used: {outages.reason(error)}') from None
    finally:
        database.close()


def _connect(database: sessions.Database) -> None:
    """Connect once. Raises ConfigError for a parameter that the driver does not know."""
    try:
        with deadlines.within(deadlines.TRANSACTION_TIME):
            database.connect()
    except TypeError as error:  # not wrapped by SQLAlchemy
        named = re.search("'([^']*)'", str(error))
        raise errors.ConfigError(
            '[database] connection has a parameter that its driver does not know'
            f'{f": {named[1]}" if named else ""}.'
        ) from None


def open_database(
    conf: cfg.ConfigOpts, folders: Folders, *, limited: bool = True
) -> sessions.Database:
    """The configured database. limited: as for sessions.open_database()."""
    opened: sessions.Database = sessions.open_database(
        database_url(conf, folders),
        limited=limited,
        **{
            name: conf.database[name]
            for name in (
                *('max_pool_size', 'max_overflow', 'pool_timeout'),
                *('connection_recycle_time', 'mysql_sql_mode'),
            )
        },
    )
    return opened


def prepare_database(conf: cfg.ConfigOpts, folders: Folders) -> None:
    """Check that the database and the folders can be used, and belong to each other.

    The tables of SQLite are created or migrated; those of a server are only checked.

    Raises ConfigError for a database that cannot be served.
    """
    shown = shown_database(conf, folders)
    with (
        deadlines.within(deadlines.TRANSACTION_TIME),
        errors_named(open_database(conf, folders), f'The database {shown}') as database,
        _locked(folders.run / 'migrate.lock'),
    ):
        kept = folders.kept()
        if database.dialect == 'sqlite':
            if migrations.version(database.engine) is None:
                # Check before the tables are created: if the check fails, there is still
                # no new database file with tables in the way of the one to be restored.
                deployment_marker.verify(kept, None, used=False, database=shown)
            migrations.sync(database.engine)
        else:
            migrations.require_current(database.engine)
        made, used = deployment.identity(database.engine)
        deployment_marker.verify(
            kept,
            made,
            used=used,
            database=shown,
            names_files=lambda folder: deployment.names_files(database.engine, str(folder)),
        )


@contextlib.contextmanager
def _locked(path: pathlib.Path) -> collections.abc.Iterator[None]:
    """Let one process of this state folder in at a time, so that two starts do not collide."""
    with open(path, 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
