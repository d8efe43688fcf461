"""The id of the deployment that a database belongs to, and the folders that it has used."""

import sqlalchemy as sa

from glance.db.models import deployment, image_locations, images, tasks
from glance.domain import errors
from glance.domain.image import LocationStatus

_SELECT_IS_USED = sa.select(sa.or_(sa.exists(sa.select(tasks)), sa.exists(sa.select(images))))


def identity(engine: sa.Engine) -> tuple[str, bool]:
    """(id of the deployment, whether the database has ever had a task or an image).

    The id is made together with the tables. Raises ConfigError if it is missing.
    """
    with engine.connect() as connection:
        ids = list(connection.scalars(sa.select(deployment.c.id)))
        used = connection.scalar(_SELECT_IS_USED)
    if len(ids) != 1:
        raise errors.ConfigError(
            f'The table "deployment" of the database has {len(ids)} rows; it must have the one '
            'that was made with it. Restore the database.'
        )
    return ids[0], bool(used)


def names_files(engine: sa.Engine, folder: str) -> bool:
    """Whether bytes of images, also of deleted ones, are in a folder, by their URLs."""
    statement = sa.select(
        sa.exists().where(
            image_locations.c.status.in_((LocationStatus.ACTIVE, LocationStatus.PENDING_DELETE)),
            image_locations.c.value.contains(f'{folder}/', autoescape=True),
        )
    )
    with engine.connect() as connection:
        return bool(connection.scalar(statement))
