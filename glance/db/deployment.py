"""Which deployment a database is, and whether it has ever been used."""

import sqlalchemy as sa

from glance.db.models import deployment, images, tasks
from glance.domain import errors

_USED = sa.select(sa.or_(sa.exists(sa.select(tasks)), sa.exists(sa.select(images))))


def identity(engine):
    """(id of the deployment, whether there has been a task or an image in it).

    Raises ConfigError if the id, which was made with the tables, is gone.
    """
    with engine.connect() as connection:
        ids = list(connection.scalars(sa.select(deployment.c.id)))
        used = connection.scalar(_USED)
    if len(ids) != 1:
        raise errors.ConfigError(
            f'The table "deployment" of the database has {len(ids)} rows; it must have the one '
            'that was made with it. Restore the database.'
        )
    return ids[0], bool(used)
