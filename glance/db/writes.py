"""The writes that task types may combine, and their transaction."""

import abc
import collections.abc
import dataclasses
import typing

import sqlalchemy as sa

from glance.db import importing
from glance.db.models import image_properties, images, utcnow
from glance.domain import errors
from glance.domain.lease import Lease
from glance.interfaces.writes import Write, WrongWrite

_SELECT_IMAGE_ID = sa.select(images.c.id).where(images.c.id == sa.bindparam('image'))
_TOUCH_IMAGE = (
    sa.update(images)
    .where(images.c.id == sa.bindparam('image'), images.c.deleted.is_(False))
    .values(updated_at=sa.bindparam('at'))
)
_DELETE_PROPERTIES = sa.delete(image_properties).where(
    image_properties.c.image_id == sa.bindparam('image'),
    image_properties.c.name.in_(sa.bindparam('names', expanding=True)),
)
_INSERT_PROPERTY = sa.insert(image_properties)


class SqlWrite(Write):
    """A write of this database. It holds plain data only."""

    @abc.abstractmethod
    def apply(self, connection: sa.Connection) -> None:
        """Make the change. Raises the error with which the whole transaction fails."""


@dataclasses.dataclass(frozen=True)
class ImageAbsence(SqlWrite):
    """No image has this id. Raises ImageExists."""

    image_id: str
    lease: None = None

    def apply(self, connection: sa.Connection) -> None:
        if connection.execute(_SELECT_IMAGE_ID, {'image': self.image_id}).first():
            raise errors.ImageExists(self.image_id)


@dataclasses.dataclass(frozen=True)
class ImageActivation(SqlWrite):
    """The importing image of a task and its announced location become active."""

    lease: Lease
    image_id: str
    url: str
    facts: dict[str, typing.Any]

    def apply(self, connection: sa.Connection) -> None:
        importing.activate(connection, self.image_id, self.lease, self.url, self.facts)


@dataclasses.dataclass(frozen=True)
class PropertyUpdate(SqlWrite):
    """Some properties of an image get these values. Raises ImageGone if it was deleted."""

    lease: Lease
    image_id: str
    values: dict[str, str]

    def apply(self, connection: sa.Connection) -> None:
        image = {'image': self.image_id}
        touched = connection.execute(_TOUCH_IMAGE, image | {'at': utcnow()})
        if touched.rowcount == 0:
            raise errors.ImageGone(self.image_id)
        if not self.values:
            return  # without parameters, the insert would be one of an empty row
        connection.execute(_DELETE_PROPERTIES, image | {'names': list(self.values)})
        connection.execute(
            _INSERT_PROPERTY,
            [
                {'image_id': self.image_id, 'name': name, 'value': value}
                for name, value in self.values.items()
            ],
        )


# Exactly these: a class of a plug-in that derives from one of them could run its own code.
_KINDS = (ImageAbsence, ImageActivation, PropertyUpdate)


def accepted(given: collections.abc.Iterable[Write], lease: Lease | None) -> tuple[SqlWrite, ...]:
    """These writes, if they may be applied for this lease, or for a POST if it is None.

    Call it outside the transaction. Raises WrongWrite.
    """
    made = tuple(given)
    for write in made:
        if type(write) not in _KINDS:
            raise WrongWrite(f'A {type(write).__name__} is no write of a repository.')
        if write.lease not in (None, lease):
            raise WrongWrite(
                f'A write for {write.lease} cannot be applied for {lease or "a new task"}.'
            )
    return typing.cast('tuple[SqlWrite, ...]', made)


def apply(connection: sa.Connection, made: collections.abc.Iterable[SqlWrite]) -> None:
    """Apply writes in the order in which they were given."""
    for write in made:
        write.apply(connection)
