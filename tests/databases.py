"""A database of its own for a test: a file, or one on a server of this machine.

To make tables on a server takes long, and PostgreSQL writes a checkpoint when it drops a
database. So a database that has its tables is emptied after a test and given to a later one
of the same process, unless the test has changed more than its rows.
"""

import collections
import contextlib
import dataclasses
import os
import pathlib
import shutil
import tempfile
import uuid

import sqlalchemy as sa

from glance.db import migrations, sessions

# Where a server is looked for, with the right to make databases.
SERVERS = {
    'postgresql': os.environ.get(
        'GLANCE_TEST_POSTGRESQL', 'postgresql+psycopg2://root@127.0.0.1/postgres'
    ),
    'mariadb': os.environ.get('GLANCE_TEST_MARIADB', 'mysql+pymysql://root@127.0.0.1/'),
}
# How such a server comes to be there.
HINTS = {
    'postgresql': 'It comes with: apt-get install postgresql. It has to let the role "root" in '
    'from 127.0.0.1 and let it make databases, or GLANCE_TEST_POSTGRESQL has to name another '
    'role or server.',
    'mariadb': 'It comes with: apt-get install mariadb-server. It has to let root in from '
    '127.0.0.1 without a password ("CREATE USER root@127.0.0.1", "GRANT ALL ON *.* TO '
    'root@127.0.0.1"), or GLANCE_TEST_MARIADB has to name another user or server.',
}
# The distributions that drivers come from, where the name is another.
DISTRIBUTIONS = {'psycopg2': 'psycopg2-binary', 'pymysql': 'PyMySQL'}
KINDS = ('sqlite', *SERVERS)
# What tests run on that do not name a kind.
CHOSEN = os.environ.get('GLANCE_TEST_DATABASE') or 'sqlite'


@contextlib.contextmanager
def fresh(kind, folder, missing):
    """The URL of a database without tables, gone after the block.

    missing  called with a sentence where there is no server, or no driver for it
    """
    if kind == 'sqlite':
        yield f'sqlite:///{pathlib.Path(folder) / "glance.sqlite"}'
        return
    url = _make(kind, missing)
    try:
        yield url.render_as_string(hide_password=False)
    finally:
        _drop(kind, url)


@contextlib.contextmanager
def with_tables(kind, folder, missing, also=None):
    """The URL of a database with the tables of the service, all empty.

    also  also(connection) makes more of them, whose names begin with "test_"
    """
    if kind == 'sqlite':
        path = pathlib.Path(folder) / 'glance.sqlite'
        shutil.copyfile(_file_with_tables(also), path)
        engine = sa.create_engine(f'sqlite:///{path}', poolclass=sa.pool.NullPool)
        with engine.begin() as connection:
            _identify(connection)
        yield f'sqlite:///{path}'
        return
    idle = _idle[kind, also]
    one = idle.pop() if idle else _prepare(kind, missing, also)
    try:
        yield one.url.render_as_string(hide_password=False)
    finally:
        if _is_emptied(kind, one):
            idle.append(one)
        else:
            _drop(kind, one.url)


def close():
    """Drop what with_tables() has kept for later tests of this process."""
    for (kind, _also), idle in _idle.items():
        while idle:
            _drop(kind, idle.pop().url)
    while _folders:
        _folders.pop().cleanup()
    _files.clear()


@dataclasses.dataclass
class _Prepared:
    url: sa.URL
    tables: list
    shape: list  # all that is neither a row nor a number of one, as _shape() says


_idle = collections.defaultdict(list)  # (kind, also) to what no test has
_files = {}  # also to a file of SQLite
_folders = []


def _make(kind, missing):
    """The URL of a new database on a server."""
    url = sa.make_url(SERVERS[kind])
    name = f'glance_test_{uuid.uuid4().hex[:12]}'
    try:
        with _connected(url) as connection:
            connection.execute(sa.text(f'CREATE DATABASE {name}'))
    except ModuleNotFoundError as error:  # create_engine imports the driver
        distribution = DISTRIBUTIONS.get(error.name, error.name)
        missing(
            f'{error.name} is not installed, the driver of {url.drivername}; '
            f'it comes with: pip install {distribution}'
        )
    except sa.exc.OperationalError as error:
        missing(f'No {kind} server answers at {url.host}: {error.orig} {HINTS[kind]}')
    return url.set(database=name)


def _drop(kind, url):
    with _connected(sa.make_url(SERVERS[kind])) as connection:
        _disconnect(connection, url.database)
        connection.execute(sa.text(f'DROP DATABASE IF EXISTS {url.database}'))


@contextlib.contextmanager
def _connected(url):
    """A connection whose statements are transactions of their own."""
    engine = sa.create_engine(url, isolation_level='AUTOCOMMIT', poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        yield connection


def _disconnect(connection, name):
    """End all other connections to a database. Their transactions are rolled back."""
    if connection.dialect.name == 'postgresql':
        connection.execute(
            sa.text(
                'SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity'
                ' WHERE datname = :name AND pid <> pg_backend_pid()'
            ),
            {'name': name},
        )
        return
    others = connection.scalars(
        sa.text(
            'SELECT id FROM information_schema.processlist'
            ' WHERE db = :name AND id <> connection_id()'
        ),
        {'name': name},
    )
    for number in others.all():
        with contextlib.suppress(sa.exc.DBAPIError):  # it has just ended by itself
            connection.execute(sa.text(f'KILL {number}'))


def _add_tables(url, also):
    database = sessions.open_database(url)
    migrations.sync(database.engine)
    if also is not None:
        database.write(also)
    database.close()


def _file_with_tables(also):
    """A file of SQLite to be copied, made once."""
    if also not in _files:
        _folders.append(tempfile.TemporaryDirectory())
        path = pathlib.Path(_folders[-1].name) / 'glance.sqlite'
        _add_tables(f'sqlite:///{path}', also)
        _files[also] = path
    return _files[also]


def _prepare(kind, missing, also):
    """A database on a server that has its tables."""
    url = _make(kind, missing)
    _add_tables(url, also)
    with _connected(url) as connection:
        # What triggers write comes last: emptying the others may add to it.
        names = sorted(
            sa.inspect(connection).get_table_names(), key=lambda name: name.startswith('test_')
        )
        return _Prepared(url, names, _shape(connection))


def _is_emptied(kind, one):
    """Make a database as it was before the test; False if it has changed for good."""
    name = one.url.database
    try:
        with _connected(one.url) as connection:
            _disconnect(connection, name)
            if _shape(connection) != one.shape:
                return False
            if kind == 'postgresql':  # in this session: no triggers, no foreign keys
                connection.execute(sa.text('SET session_replication_role = replica'))
            else:
                connection.execute(sa.text('SET foreign_key_checks = 0'))
            connection.execute(sa.text('BEGIN'))
            for table in one.tables:
                connection.execute(sa.text(f'DELETE FROM {table}'))
            _identify(connection)
            connection.execute(sa.text('COMMIT'))
    except sa.exc.DBAPIError:  # renamed, read-only, without rights
        return False
    return True


def _identify(connection):
    """Write the rows that migrations make: the version, and an id that no other database has."""
    for table, column, value in (
        (migrations.VERSION_TABLE, 'version_num', migrations.HEAD),
        ('deployment', 'id', uuid.uuid4().hex),
    ):
        connection.execute(sa.text(f'DELETE FROM {table}'))
        connection.execute(
            sa.text(f'INSERT INTO {table} ({column}) VALUES (:value)'), {'value': value}
        )


_SHAPES = {
    'postgresql': """
        SELECT concat_ws(' ', relname, attname, atttypid, atttypmod, attnotnull, relacl)
          FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
         WHERE relnamespace = 'public'::regnamespace AND attnum > 0
        UNION ALL
        SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
          FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL
        SELECT concat_ws(' ', tgrelid::regclass, tgname, tgenabled)
          FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL
        SELECT setconfig::text FROM pg_db_role_setting
         WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
        UNION ALL
        SELECT nspname FROM pg_namespace
        """,
    'mysql': """
        SELECT concat_ws(' ', table_name, column_name, column_type, is_nullable, collation_name)
          FROM information_schema.columns WHERE table_schema = database()
        UNION ALL
        SELECT concat_ws(' ', table_name, index_name, column_name, seq_in_index, non_unique)
          FROM information_schema.statistics WHERE table_schema = database()
        UNION ALL
        SELECT concat_ws(' ', table_name, constraint_name)
          FROM information_schema.table_constraints WHERE table_schema = database()
        UNION ALL
        SELECT concat_ws(' ', event_object_table, trigger_name)
          FROM information_schema.triggers WHERE trigger_schema = database()
        """,
}


def _shape(connection):
    """Tables, columns, indexes, constraints, triggers, rights and settings of a database."""
    words = _SHAPES[connection.dialect.name]
    return sorted(connection.exec_driver_sql(words).scalars().all())
