"""Where the bytes of an image are: the rows of image_locations in a transaction."""

import typing

import sqlalchemy as sa

from glance.db.models import image_locations, leftovers, utcnow
from glance.domain.image import Location, LocationStatus

_c = image_locations.c

_SELECT_LOCATIONS = (
    sa.select(image_locations)
    .where(_c.image_id == sa.bindparam('image'), _c.status == sa.bindparam('status'))
    .order_by(_c.id)
)
_SELECT_PENDING_DELETE = (
    sa.select(image_locations).where(_c.status == LocationStatus.PENDING_DELETE).order_by(_c.id)
)
_SELECT_LEFTOVERS = (
    sa.select(leftovers.c.store, leftovers.c.address)
    .where(leftovers.c.kind == 'location')
    .order_by(leftovers.c.id)
)
_DELETE_LEFTOVER = sa.delete(leftovers).where(
    leftovers.c.kind == 'location',
    sa.func.coalesce(leftovers.c.store, '') == sa.bindparam('store_'),
    leftovers.c.address == sa.bindparam('url'),
)
_INSERT_LOCATION = sa.insert(image_locations)
_DELETE_LOCATION = sa.delete(image_locations).where(
    _c.image_id == sa.bindparam('image'),
    _c.value == sa.bindparam('url'),
    _c.status == sa.bindparam('status_'),
)
_ACTIVATE_LOCATION = (
    sa.update(image_locations)
    .where(
        _c.image_id == sa.bindparam('image'),
        _c.value == sa.bindparam('url'),
        _c.status == LocationStatus.PENDING,
    )
    .values(status=LocationStatus.ACTIVE)
)
_SET_PENDING_DELETE = (
    sa.update(image_locations)
    .where(_c.image_id == sa.bindparam('image'), _c.status == LocationStatus.ACTIVE)
    .values(status=LocationStatus.PENDING_DELETE)
)


def of_image(connection: sa.Connection, image_id: str, status: LocationStatus) -> list[Location]:
    """The locations of an image that have this status."""
    rows = connection.execute(_SELECT_LOCATIONS, {'image': image_id, 'status': status})
    return [_location(row) for row in rows]


def removable(connection: sa.Connection) -> list[Location]:
    """The locations whose bytes must be removed: of deleted images, and leftovers of tasks."""
    return [
        *(_location(row) for row in connection.execute(_SELECT_PENDING_DELETE)),
        *(
            Location('', row.store or '', row.address, LocationStatus.LEFT)
            for row in connection.execute(_SELECT_LEFTOVERS)
        ),
    ]


def delete_leftover(connection: sa.Connection, store: str, url: str) -> None:
    """Delete the rows of a location that tasks left."""
    connection.execute(_DELETE_LEFTOVER, {'store_': store, 'url': url})


def announce(connection: sa.Connection, location: Location) -> list[Location]:
    """Add a pending location if it is missing. Returns the other pending ones."""
    pending = of_image(connection, location.image_id, LocationStatus.PENDING)
    others = [other for other in pending if other.url != location.url]
    if len(others) == len(pending):
        connection.execute(
            _INSERT_LOCATION,
            {
                'image_id': location.image_id,
                'store': location.store,
                'value': location.url,
                'status': LocationStatus.PENDING,
                'created_at': utcnow(),
            },
        )
    return others


def activate(connection: sa.Connection, image_id: str, url: str) -> None:
    """Make a pending location active."""
    connection.execute(_ACTIVATE_LOCATION, {'image': image_id, 'url': url})


def set_pending_delete(connection: sa.Connection, image_id: str) -> None:
    """Mark all active locations of an image for deletion."""
    connection.execute(_SET_PENDING_DELETE, {'image': image_id})


def delete(connection: sa.Connection, image_id: str, url: str, status: str) -> None:
    """Delete the row of a location if it has this status."""
    connection.execute(_DELETE_LOCATION, {'image': image_id, 'url': url, 'status_': status})


def _location(row: sa.Row[typing.Any]) -> Location:
    return Location(row.image_id, row.store, row.value, row.status)
