"""Image records, their properties and tags, and where their bytes are."""

import collections
import dataclasses
import math
import time

import sqlalchemy as sa

from glance import interfaces
from glance.db import fence, image_filters, paging
from glance.db.models import (
    aware,
    image_locations,
    image_properties,
    image_tags,
    images,
    naive,
    utcnow,
)
from glance.domain import errors
from glance.domain.image import NEXT, Image, Location, Status

_FIELDS = [
    field.name for field in dataclasses.fields(Image) if field.name not in ('tags', 'properties')
]

_ONE = sa.select(images).where(images.c.id == sa.bindparam('id'))
_ONE_LOCKED = _ONE.with_for_update()
_IMPORTING = sa.select(images.c.created_by_task, images.c.id).where(
    images.c.id.in_(sa.bindparam('ids', expanding=True)),
    images.c.status == Status.IMPORTING,
    images.c.deleted.is_(False),
)
_PROPERTIES = sa.select(image_properties).where(
    image_properties.c.image_id.in_(sa.bindparam('ids', expanding=True))
)
_TAGS = (
    sa.select(image_tags)
    .where(image_tags.c.image_id.in_(sa.bindparam('ids', expanding=True)))
    .order_by(image_tags.c.value)
)
_LOCATIONS = (
    sa.select(image_locations)
    .where(
        image_locations.c.image_id == sa.bindparam('id'),
        image_locations.c.status == sa.bindparam('status'),
    )
    .order_by(image_locations.c.id)
)
_DROP_LOCATION = sa.delete(image_locations).where(
    image_locations.c.image_id == sa.bindparam('i'),
    image_locations.c.value == sa.bindparam('u'),
    image_locations.c.status == sa.bindparam('s'),
)
_INSERT = sa.insert(images)
_INSERT_LOCATION = sa.insert(image_locations)
_MOVE_LOCATIONS = (
    sa.update(image_locations)
    .where(
        image_locations.c.image_id == sa.bindparam('i'),
        image_locations.c.status == sa.bindparam('was'),
    )
    .values(status=sa.bindparam('becomes'))
)


class SqlImageRepository(interfaces.ImageRepository):
    def __init__(self, database):
        self._database = database
        self._importing = _Importing(database)

    def get(self, image_id, *, visible_to=None):
        def one(connection):
            row = connection.execute(_ONE, {'id': image_id}).one_or_none()
            if row is None or row.deleted or not _visible(row, visible_to):
                raise errors.ImageNotFound(image_id)
            return _with_details(connection, [row])[0]

        return self._database.read(one)

    def page(self, listing, *, visible_to=None):
        visible = images.c.deleted.is_(False)
        if visible_to is not None:
            visible = sa.and_(visible, image_filters.visible_to(visible_to))

        def rows(connection):
            last = paging.marker(connection, images, listing, visible)
            statement = image_filters.filtered(
                sa.select(images).where(visible), listing.filters, visible_to
            )
            rows = connection.execute(paging.paged(statement, images, listing, last)).all()
            return _with_details(connection, rows)

        return self._database.read(rows)

    def locations(self, image_id):
        rows = self._database.read(
            lambda connection: connection.execute(
                _LOCATIONS, {'id': image_id, 'status': 'active'}
            ).all()
        )
        return [_location(row) for row in rows]

    def delete(self, image_id):
        def mark(connection):
            row = connection.execute(_ONE_LOCKED, {'id': image_id}).one_or_none()
            if row is None or row.deleted:
                raise errors.ImageNotFound(image_id)
            if row.protected:
                raise errors.Forbidden(f'Image {image_id} is protected; it cannot be deleted.')
            if Status.DELETED not in NEXT[Status(row.status)]:
                raise errors.WrongTransition(f'Image {image_id}', row.status, Status.DELETED)
            at = utcnow()
            connection.execute(
                sa.update(images)
                .where(images.c.id == image_id)
                .values(status=Status.DELETED, deleted=True, deleted_at=at, updated_at=at)
            )
            # Pending ones are their run's to withdraw: it may still be writing.
            connection.execute(
                _MOVE_LOCATIONS, {'i': image_id, 'was': 'active', 'becomes': 'pending_delete'}
            )
            return [
                _location(row)
                for row in connection.execute(
                    _LOCATIONS, {'id': image_id, 'status': 'pending_delete'}
                )
            ]

        return self._database.write(mark)

    def forget(self, location):
        self._database.write(
            lambda connection: connection.execute(
                _DROP_LOCATION, {'i': location.image_id, 'u': location.url, 's': location.status}
            )
        )

    def create(self, lease, image):
        def insert(connection):
            row = connection.execute(_ONE, {'id': image.id}).one_or_none()
            if row is not None:
                if row.created_by_task != lease.task_id:
                    raise errors.ImageExists(image.id)
                if row.deleted:
                    raise errors.ImageGone(image.id)
                return
            connection.execute(_INSERT, _row(image))
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
                    sa.insert(image_tags),
                    [{'image_id': image.id, 'value': tag} for tag in image.tags],
                )

        fence.write(self._database, lease, insert)

    def check(self, lease, image_id, *, within=0.0):
        if within and self._importing.has(lease.task_id, image_id, within):
            return
        fence.read(self._database, lambda connection: _made_by(connection, lease, image_id, _ONE))

    def announce(self, lease, location):
        def insert(connection):
            _made_by(connection, lease, location.image_id)
            pending = {
                row.value: _location(row)
                for row in connection.execute(
                    _LOCATIONS, {'id': location.image_id, 'status': 'pending'}
                )
            }
            if not pending.pop(location.url, None):
                connection.execute(
                    _INSERT_LOCATION,
                    {
                        'image_id': location.image_id,
                        'store': location.store,
                        'value': location.url,
                        'status': 'pending',
                        'created_at': utcnow(),
                    },
                )
            return list(pending.values())

        return fence.write(self._database, lease, insert)

    def announced(self, lease, image_id):
        def pending(connection):
            made = connection.execute(_ONE, {'id': image_id}).one_or_none()
            if made is None or made.created_by_task != lease.task_id:
                return []
            return connection.execute(_LOCATIONS, {'id': image_id, 'status': 'pending'}).all()

        # Fenced though it only reads: what is named here is deleted next.
        return [_location(row) for row in fence.write(self._database, lease, pending)]

    def withdraw(self, lease, location):
        fence.write(
            self._database,
            lease,
            lambda connection: connection.execute(
                _DROP_LOCATION, {'i': location.image_id, 'u': location.url, 's': 'pending'}
            ),
        )

    def remove(self, lease, image_id):
        def delete(connection):
            row = connection.execute(_ONE, {'id': image_id}).one_or_none()
            if row is None or row.created_by_task != lease.task_id:
                return
            if row.status != Status.IMPORTING and not row.deleted:
                return
            # Deleted by a user meanwhile: the record goes too, it never was an image.
            for table in (image_properties, image_tags, image_locations):
                connection.execute(sa.delete(table).where(table.c.image_id == image_id))
            connection.execute(sa.delete(images).where(images.c.id == image_id))

        fence.write(self._database, lease, delete)


class _Importing:
    """The importing images that runs of this process asked for lately, read at once.

    Hundreds of slow sources, each of whose runs looks every few seconds whether
    its image is still wanted, were two thirds of what they cost the hub.
    """

    LATELY = 60.0  # seconds

    def __init__(self, database):
        self._database = database
        self._asked_at = {}  # by image id
        self._found = frozenset()  # (task id, image id)
        self._read_at = -math.inf

    def has(self, task_id, image_id, within):
        """Whether it is among those found in the last so many seconds."""
        now = time.monotonic()
        self._asked_at[image_id] = now
        if now - self._read_at > within:
            self._read_at = now  # who comes meanwhile need not read as well
            try:
                self._found = self._read(now - self.LATELY)
            except BaseException:
                self._read_at = -math.inf
                raise
        return (task_id, image_id) in self._found

    def _read(self, since):
        for image_id, at in list(self._asked_at.items()):
            if at < since:
                self._asked_at.pop(image_id, None)
        ids = list(self._asked_at)
        return fence.read(
            self._database,
            lambda connection: frozenset(map(tuple, connection.execute(_IMPORTING, {'ids': ids}))),
        )


def activate(connection, image_id, lease, location, facts):
    """Make an importing image active and an announced location real. Raises ImageGone."""
    _made_by(connection, lease, image_id)
    connection.execute(
        _ACTIVATE, {'i': image_id, 'at': utcnow(), **{f'{key}_': facts[key] for key in _FACTS}}
    )
    connection.execute(_MAKE_REAL, {'i': image_id, 'u': location})


_MAKE_REAL = (
    sa.update(image_locations)
    .where(
        image_locations.c.image_id == sa.bindparam('i'),
        image_locations.c.value == sa.bindparam('u'),
        image_locations.c.status == 'pending',
    )
    .values(status='active')
)
_FACTS = ('size', 'virtual_size', 'checksum', 'os_hash_algo', 'os_hash_value')
_ACTIVATE = (
    sa.update(images)
    .where(images.c.id == sa.bindparam('i'))
    .values(
        status=Status.ACTIVE,
        updated_at=sa.bindparam('at'),
        **{key: sa.bindparam(f'{key}_') for key in _FACTS},
    )
)


def _made_by(connection, lease, image_id, statement=_ONE_LOCKED):
    """Raises ImageGone unless this is the live, importing image of the lease's task."""
    row = connection.execute(statement, {'id': image_id}).one_or_none()
    if (
        row is None
        or row.deleted
        or row.created_by_task != lease.task_id
        or row.status != Status.IMPORTING
    ):
        raise errors.ImageGone(image_id)


def _visible(row, project):
    return project is None or row.owner == project or row.visibility in ('public', 'community')


def _with_details(connection, rows):
    ids = [row.id for row in rows]
    if not ids:
        return []
    properties = collections.defaultdict(dict)
    for row in connection.execute(_PROPERTIES, {'ids': ids}):
        properties[row.image_id][row.name] = row.value
    tags = collections.defaultdict(list)
    for row in connection.execute(_TAGS, {'ids': ids}):
        tags[row.image_id].append(row.value)
    return [_image(row, tags[row.id], properties[row.id]) for row in rows]


def _image(row, tags, properties):
    fields = {name: getattr(row, name) for name in _FIELDS}
    fields |= {
        'status': Status(row.status),
        'created_at': aware(row.created_at),
        'updated_at': aware(row.updated_at),
    }
    return Image(tags=tags, properties=properties, **fields)


def _row(image):
    row = {name: getattr(image, name) for name in _FIELDS}
    for name in ('created_at', 'updated_at'):
        row[name] = naive(row[name])
    return row | {'deleted': False, 'deleted_at': None}


def _location(row):
    return Location(row.image_id, row.store, row.value, row.status)
