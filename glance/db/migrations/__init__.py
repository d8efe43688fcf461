"""The history of the tables, by alembic, in a version table of its own name.

The name is ours so that a database of another service, with its own
alembic_version, is never taken for one of this service's.
"""

import logging
import pathlib

import sqlalchemy as sa

from glance.domain import errors

LOG = logging.getLogger(__name__)

VERSION_TABLE = 'task_image_service_version'
HEAD = '0004'  # the newest of versions/; a test holds it there


def version(engine):
    """The version of a database: None if it is empty.

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
        return connection.scalar(sa.text(f'SELECT version_num FROM {VERSION_TABLE}'))


def check(engine):
    """Raises ConfigError unless the database is exactly at HEAD."""
    now = version(engine)
    if now == HEAD:
        return
    if now is not None and now > HEAD:
        raise _newer(now)
    raise errors.ConfigError(
        f'The database is at version {now or "none"}, this service needs {HEAD}. '
        'Run "glance-manage db sync" first.'
    )


def sync(engine):
    """Bring the database to HEAD; returns the version it was at."""
    now = version(engine)
    if now == HEAD:
        return now
    if now is not None and now > HEAD:
        raise _newer(now)
    from alembic import command, config  # only here: it costs a tenth of a second

    settings = config.Config()
    settings.set_main_option('script_location', str(pathlib.Path(__file__).parent))
    with engine.begin() as connection:
        settings.attributes['connection'] = connection
        command.upgrade(settings, 'head')
    LOG.info(
        'Database brought from version %s to %s',
        now or 'none',
        HEAD,
        extra={'action': 'database_migrated'},
    )
    return now


def _newer(now):
    return errors.ConfigError(
        f'The database is at version {now}, newer than this service, which knows {HEAD}. '
        'Start the newer release.'
    )
