"""Image records, their properties and tags, and where their bytes are."""

import collections
import collections.abc
import dataclasses
import json
import typing

import sqlalchemy as sa

from glance.db import deadlines, fence, image_filters, image_locations, importing, paging, writes
from glance.db.importing import SELECT_STATE, SELECT_STATE_FOR_UPDATE
from glance.db.models import aware, image_properties, image_tags, images, naive, utcnow
from glance.db.models import image_locations as locations_table
from glance.db.sessions import Database
from glance.domain import errors
from glance.domain.image import NEXT, Image, Location, LocationStatus, Status, is_visible
from glance.domain.lease import Lease
from glance.domain.listing import Listing
from glance.interfaces.repositories import ImageRepository
from glance.interfaces.writes import Write

# The fields of an image that are columns of the same name.
_FIELDS = [
    field.name for field in dataclasses.fields(Image) if field.name not in ('tags', 'properties')
]

_SELECT_IMAGE = sa.select(images).where(images.c.id == sa.bindparam('id'))
_SELECT_IMAGE_FOR_UPDATE = _SELECT_IMAGE.with_for_update()
_SELECT_PROPERTIES = sa.select(image_properties).where(
    image_properties.c.image_id.in_(sa.bindparam('ids', expanding=True))
)
_SELECT_TAGS = (
    sa.select(image_tags)
    .where(image_tags.c.image_id.in_(sa.bindparam('ids', expanding=True)))
    .order_by(image_tags.c.value)
)
_INSERT_IMAGE = sa.insert(images)
_SET_DELETED = (
    sa.update(images)
    .where(images.c.id == sa.bindparam('image'))
    .values(
        status=Status.DELETED,
        deleted=True,
        deleted_at=sa.bindparam('at'),
        updated_at=sa.bindparam('at'),
    )
)


class SqlImageRepository(ImageRepository):
    """The images in the service's own database.

    importing_cache  which images are importing; one of its own by default
    """

    def __init__(
        self, database: Database, importing_cache: importing.ImportingCache | None = None
    ) -> None:
        self._database = database
        self._importing = importing_cache or importing.ImportingCache(database)

    def get(self, image_id: str, *, visible_to: str | None = None) -> Image:
        def get(connection: sa.Connection) -> Image:
            row = connection.execute(_SELECT_IMAGE, {'id': image_id}).one_or_none()
            if row is None or row.deleted or not is_visible(row.owner, row.visibility, visible_to):
                raise errors.ImageNotFound(image_id)
            return _with_details(connection, [row])[0]

        return self._database.read(get)

    def page(self, listing: Listing, *, visible_to: str | None = None) -> list[Image]:
        visible: sa.ColumnElement[bool] = images.c.deleted.is_(False)
        if visible_to is not None:
            visible = sa.and_(visible, image_filters.visible_to(visible_to))

        def select_page(connection: sa.Connection) -> list[Image]:
            last = paging.marker(connection, images, listing, visible)
            statement = image_filters.filtered(
                sa.select(images).where(visible), listing.filters, visible_to
            )
            rows = connection.execute(paging.paged(statement, images, listing, last)).all()
            return _with_details(connection, rows)

        return self._database.read(select_page)

    def locations(self, image_id: str) -> list[Location]:
        return self._database.read(
            lambda connection: image_locations.of_image(
                connection, image_id, LocationStatus.ACTIVE
            )
        )

    def delete(self, image_id: str) -> list[Location]:
        def mark(connection: sa.Connection) -> list[Location]:
            row = connection.execute(_SELECT_IMAGE_FOR_UPDATE, {'id': image_id}).one_or_none()
            if row is None or row.deleted:
                raise errors.ImageNotFound(image_id)
            if row.protected:
                raise errors.Forbidden(f'Image {image_id} is protected; it cannot be deleted.')
            if Status.DELETED not in NEXT[Status(row.status)]:
                raise errors.WrongTransition(f'Image {image_id}', row.status, Status.DELETED)
            connection.execute(_SET_DELETED, {'image': image_id, 'at': utcnow()})
            # Pending locations are left to their run, which may still be writing to them.
            image_locations.set_pending_delete(connection, image_id)
            return image_locations.of_image(connection, image_id, LocationStatus.PENDING_DELETE)

        return self._database.write(mark)

    def removable(self) -> list[Location]:
        return self._database.read(image_locations.removable)

    def remove_location(self, location: Location) -> None:
        self._database.write(
            lambda connection: (
                image_locations.delete_leftover(connection, location.store, location.url)
                if location.status == LocationStatus.LEFT
                else image_locations.delete(
                    connection, location.image_id, location.url, location.status
                )
            )
        )

    def absence(self, image_id: str) -> Write:
        return writes.ImageAbsence(image_id)

    def activation(
        self,
        lease: Lease,
        image_id: str,
        url: str,
        facts: collections.abc.Mapping[str, typing.Any],
    ) -> Write:
        known = {name: facts[name] for name in importing.FACTS}
        return writes.ImageActivation(lease, image_id, url, json.loads(json.dumps(known)))

    def property_update(
        self, lease: Lease, image_id: str, properties: collections.abc.Mapping[str, str]
    ) -> Write:
        return writes.PropertyUpdate(
            lease, image_id, {str(name): str(value) for name, value in properties.items()}
        )

    def create(self, lease: Lease, image: Image) -> None:
        def insert(connection: sa.Connection) -> None:
            row = connection.execute(SELECT_STATE, {'id': image.id}).one_or_none()
            if row is None:
                _insert(connection, image)
            elif row.created_by_task != lease.task_id:
                raise errors.ImageExists(image.id)
            elif row.deleted:
                raise errors.ImageGone(image.id)

        fence.write(self._database, lease, insert)

    def verify_importing(self, lease: Lease, image_id: str, *, max_age: float = 0.0) -> None:
        # A caller that only wants to stop early must not wait long.
        with deadlines.within(importing.LOOK_TIME if max_age else None):
            if max_age and self._importing.has(lease.task_id, image_id, max_age):
                return
            fence.read(
                self._database,
                lambda connection: importing.verify(connection, lease, image_id, lock=False),
            )

    def announce(self, lease: Lease, location: Location) -> list[Location]:
        def announce(connection: sa.Connection) -> list[Location]:
            importing.verify(connection, lease, location.image_id, lock=True)
            return image_locations.announce(connection, location)

        return fence.write(self._database, lease, announce)

    def announced(self, lease: Lease, image_id: str) -> list[Location]:
        def pending(connection: sa.Connection) -> list[Location]:
            row = connection.execute(SELECT_STATE, {'id': image_id}).one_or_none()
            if row is None or row.created_by_task != lease.task_id:
                return []
            return image_locations.of_image(connection, image_id, LocationStatus.PENDING)

        # Fenced although it only reads: the caller deletes these locations next.
        return fence.write(self._database, lease, pending)

    def withdraw(self, lease: Lease, location: Location) -> None:
        fence.write(
            self._database,
            lease,
            lambda connection: image_locations.delete(
                connection, location.image_id, location.url, LocationStatus.PENDING
            ),
        )

    def remove(self, lease: Lease, image_id: str) -> None:
        def delete(connection: sa.Connection) -> None:
            # The lock keeps a caller from deleting the image between this look and the end.
            row = connection.execute(SELECT_STATE_FOR_UPDATE, {'id': image_id}).one_or_none()
            if row is None or row.created_by_task != lease.task_id:
                return
            if row.status != Status.IMPORTING and not row.deleted:
                return
            connection.execute(
                sa.delete(locations_table).where(locations_table.c.image_id == image_id)
            )
            if row.deleted:
                return  # create() must find it, if the task begins again
            for table in (image_properties, image_tags):
                connection.execute(sa.delete(table).where(table.c.image_id == image_id))
            connection.execute(sa.delete(images).where(images.c.id == image_id))

        fence.write(self._database, lease, delete)


def _insert(connection: sa.Connection, image: Image) -> None:
    connection.execute(_INSERT_IMAGE, _row(image))
    if image.properties:
        connection.execute(
            sa.insert(image_properties),
            [
                {'image_id': image.id, 'name': name, 'value': value}
                for name, value in image.properties.items()
            ],
        )
    if image.tags:
        connection.execute(
            sa.insert(image_tags), [{'image_id': image.id, 'value': tag} for tag in image.tags]
        )


def _with_details(
    connection: sa.Connection, rows: collections.abc.Sequence[sa.Row[typing.Any]]
) -> list[Image]:
    """The images of these rows, with properties and tags."""
    ids = [row.id for row in rows]
    if not ids:
        return []
    properties: dict[str, dict[str, str]] = collections.defaultdict(dict)
    for row in connection.execute(_SELECT_PROPERTIES, {'ids': ids}):
        properties[row.image_id][row.name] = row.value
    tags: dict[str, list[str]] = collections.defaultdict(list)
    for row in connection.execute(_SELECT_TAGS, {'ids': ids}):
        tags[row.image_id].append(row.value)
    return [_image(row, tags[row.id], properties[row.id]) for row in rows]


def _image(row: sa.Row[typing.Any], tags: list[str], properties: dict[str, str]) -> Image:
    fields = {name: getattr(row, name) for name in _FIELDS}
    fields |= {
        'status': Status(row.status),
        'created_at': aware(row.created_at),
        'updated_at': aware(row.updated_at),
    }
    return Image(tags=tags, properties=properties, **fields)


def _row(image: Image) -> dict[str, typing.Any]:
    row = {name: getattr(image, name) for name in _FIELDS}
    for name in ('created_at', 'updated_at'):
        row[name] = naive(row[name])
    return row | {'deleted': False, 'deleted_at': None}
