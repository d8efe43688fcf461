"""What a run does with the image that it imports, before and at the commit."""

import collections.abc
import math
import time
import typing

import sqlalchemy as sa

from glance.db import fence, image_locations
from glance.db.models import images, utcnow
from glance.db.sessions import Database
from glance.domain import errors
from glance.domain.image import Status
from glance.domain.lease import Lease

# What a run has to know of its image.
SELECT_STATE = sa.select(images.c.status, images.c.deleted, images.c.created_by_task).where(
    images.c.id == sa.bindparam('id')
)
SELECT_STATE_FOR_UPDATE = SELECT_STATE.with_for_update()

_IS_IMPORTING = sa.and_(images.c.status == Status.IMPORTING, images.c.deleted.is_(False))
_SELECT_IMPORTING = sa.select(images.c.created_by_task, images.c.id).where(
    images.c.id.in_(sa.bindparam('ids', expanding=True)), _IS_IMPORTING
)

# The columns that are known when the bytes are stored.
FACTS = ('size', 'virtual_size', 'checksum', 'os_hash_algo', 'os_hash_value')
_ACTIVATE_IMAGE = (
    sa.update(images)
    .where(
        images.c.id == sa.bindparam('image'),
        _IS_IMPORTING,
        images.c.created_by_task == sa.bindparam('task'),
    )
    .values(
        status=Status.ACTIVE,
        updated_at=sa.bindparam('at'),
        **{name: sa.bindparam(f'{name}_') for name in FACTS},
    )
)


def verify(connection: sa.Connection, lease: Lease, image_id: str, *, lock: bool) -> None:
    """Raises ImageGone unless the image is importing and was created by this task.

    lock  lock the row of the image until the transaction ends
    """
    statement = SELECT_STATE_FOR_UPDATE if lock else SELECT_STATE
    row = connection.execute(statement, {'id': image_id}).one_or_none()
    if (
        row is None
        or row.deleted
        or row.created_by_task != lease.task_id
        or row.status != Status.IMPORTING
    ):
        raise errors.ImageGone(image_id)


def activate(
    connection: sa.Connection,
    image_id: str,
    lease: Lease,
    location: str,
    facts: collections.abc.Mapping[str, typing.Any],
) -> None:
    """Make an importing image and its announced location active. Raises ImageGone."""
    named = {'image': image_id, 'task': lease.task_id, 'at': utcnow()}
    known = {f'{name}_': facts[name] for name in FACTS}
    if connection.execute(_ACTIVATE_IMAGE, named | known).rowcount == 0:
        raise errors.ImageGone(image_id)
    image_locations.activate(connection, image_id, location)


LOOK_TIME = 2.0  # seconds that a run waits for the answer whether its image still exists


class ImportingCache:
    """Which images are importing, read by one statement for all runs of this process.

    Each run looks every few seconds whether its image still exists. With
    hundreds of slow sources, separate reads took two thirds of the time that
    these runs cost the hub.

    max_idle  seconds after which an image that no run asked about is no longer read
    """

    def __init__(self, database: Database, max_idle: float = 60.0) -> None:
        self._database = database
        self._max_idle = max_idle
        self._asked_at: dict[str, float] = {}  # by image id
        self._found: frozenset[tuple[str, str]] = frozenset()  # (task id, image id)
        self._read_at = -math.inf

    @property
    def images(self) -> list[str]:
        """The ids of the images that are read."""
        return list(self._asked_at)

    def has(self, task_id: str, image_id: str, max_age: float) -> bool:
        """Whether the image was importing for this task, max_age seconds ago or later."""
        now = time.monotonic()
        self._asked_at[image_id] = now
        if now - self._read_at > max_age:
            self._read_at = now  # other runs need not read while this one does
            try:
                self._found = self._read(now - self._max_idle)
            except BaseException:
                self._read_at = -math.inf
                raise
        return (task_id, image_id) in self._found

    def _read(self, since: float) -> frozenset[tuple[str, str]]:
        for image_id, at in list(self._asked_at.items()):
            if at < since:
                self._asked_at.pop(image_id, None)
        parameters = {'ids': self.images}

        def read(connection: sa.Connection) -> frozenset[tuple[str, str]]:
            rows = connection.execute(_SELECT_IMPORTING, parameters)
            return frozenset((row.created_by_task, row.id) for row in rows)

        return fence.read(self._database, read)
