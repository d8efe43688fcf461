"""Bringing the tables of a database to the version that this service needs.

The version table has a name of its own: the database of another service, whose
table is called alembic_version, must not be mistaken for one of this service.
"""

import logging
import pathlib
import typing

import sqlalchemy as sa

from glance.db import server_checks
from glance.domain import errors

LOG = logging.getLogger(__name__)

VERSION_TABLE = 'task_image_service_version'
# The scripts of alembic.
SCRIPTS = pathlib.Path(__file__).parent / 'alembic'
# The newest version of the scripts. A test compares the two.
HEAD = '0010'


def version(engine: sa.Engine) -> str | None:
    """The version of a database, or None if the database is empty.

    Raises ConfigError if the database belongs to another service.
    """
    tables = set(sa.inspect(engine).get_table_names())
    if VERSION_TABLE not in tables:
        if tables & {'alembic_version', 'migrate_version', 'tasks', 'images'}:
            raise errors.ConfigError(
                'The database belongs to another service (it has tables of its own and no '
                f'{VERSION_TABLE}); nothing was changed. [database] connection must name an '
                'empty database or one of this service.'
            )
        return None
    with engine.connect() as connection:
        current = connection.scalar(sa.text(f'SELECT version_num FROM {VERSION_TABLE}'))
    return typing.cast('str | None', current)


def require_current(engine: sa.Engine) -> None:
    """Raises ConfigError unless the version of the database is HEAD, and its server is usable."""
    server_checks.verify(engine)
    current = version(engine)
    if current == HEAD:
        return
    if current is not None and current > HEAD:
        raise _newer(current)
    raise errors.ConfigError(
        f'The database is at version {current or "none"}, this service needs {HEAD}. '
        'Run "glance-manage db sync" first.'
    )


def sync(engine: sa.Engine) -> str | None:
    """Bring the database to HEAD. Returns the version that it had before. Raises ConfigError."""
    server_checks.verify(engine)
    current = version(engine)
    if current == HEAD:
        return current
    if current is not None and current > HEAD:
        raise _newer(current)
    from alembic import command, config  # only here: the import takes a tenth of a second

    settings = config.Config()
    # alembic reads a percent sign as the begin of a variable.
    settings.set_main_option('script_location', str(SCRIPTS).replace('%', '%%'))
    with engine.begin() as connection:
        settings.attributes['connection'] = connection
        command.upgrade(settings, 'head')
    LOG.info(
        'Database brought from version %s to %s',
        current or 'none',
        HEAD,
        extra={'action': 'database_migrated'},
    )
    return current


def _newer(current: str) -> errors.ConfigError:
    return errors.ConfigError(
        f'The database is at version {current}, newer than this service, which knows {HEAD}. '
        'Start the newer release.'
    )
