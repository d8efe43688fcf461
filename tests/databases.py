"""A database of its own for a test: a file, or one on a server of this machine."""

import contextlib
import os
import pathlib
import shutil
import uuid

import sqlalchemy as sa

# Where a server is looked for, with the right to make databases.
SERVERS = {
    'postgresql': os.environ.get(
        'GLANCE_TEST_POSTGRESQL', 'postgresql+psycopg2://root@127.0.0.1/postgres'
    )
}
# The distributions that drivers come from, where the name is another.
DISTRIBUTIONS = {'psycopg2': 'psycopg2-binary', 'pymysql': 'PyMySQL'}
KINDS = ('sqlite', *SERVERS)
# What tests run on that do not name a kind.
CHOSEN = os.environ.get('GLANCE_TEST_DATABASE') or 'sqlite'


def _administrator(url, missing):
    """An engine that makes databases and drops them."""
    try:
        return sa.create_engine(url, isolation_level='AUTOCOMMIT', poolclass=sa.pool.NullPool)
    except ModuleNotFoundError as error:  # create_engine imports the driver
        distribution = DISTRIBUTIONS.get(error.name, error.name)
        return missing(
            f'{error.name} is not installed, the driver of {url.drivername}; '
            f'it comes with: pip install {distribution}'
        )


@contextlib.contextmanager
def fresh(kind, folder, missing, template=None):
    """The URL of an empty database, or of a copy of one, gone after the block.

    missing   called with a sentence where there is no server, or no driver for it
    template  URL of a database of this kind, to which nobody is connected
    """
    if kind == 'sqlite':
        path = pathlib.Path(folder) / 'glance.sqlite'
        if template is not None:
            shutil.copyfile(sa.make_url(template).database, path)
        yield f'sqlite:///{path}'
        return
    url = sa.make_url(SERVERS[kind])
    admin = _administrator(url, missing)
    name = f'glance_test_{uuid.uuid4().hex[:12]}'
    words = f'CREATE DATABASE {name}'
    if template is not None:
        words += f' TEMPLATE {sa.make_url(template).database}'
    try:
        with admin.connect() as connection:
            connection.execute(sa.text(words))
    except sa.exc.OperationalError as error:
        missing(f'No {kind} server answers at {url.host}: {error.orig}')
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(sa.text(f'DROP DATABASE {name} WITH (FORCE)'))
        admin.dispose()
