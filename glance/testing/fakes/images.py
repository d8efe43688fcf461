"""Image records in memory."""

import collections.abc
import dataclasses
import typing

from glance.domain import errors
from glance.domain.image import Image, Location, Status
from glance.domain.lease import Lease
from glance.domain.listing import Listing
from glance.interfaces.repositories import ImageRepository
from glance.interfaces.writes import Write
from glance.testing.fakes.paging import page_of
from glance.testing.fakes.writes import FakeWrite


class FakeImageRepository(ImageRepository):
    """Keeps images by their id, in records, and their locations in a list, in places.

    verify_lease  verify_lease(lease): raises LostLease for a lease that is lost,
                  as TaskQueue.verify_lease() does
    """

    def __init__(
        self, verify_lease: collections.abc.Callable[[Lease], None] = lambda lease: None
    ) -> None:
        self._verify_lease = verify_lease
        self.records: dict[str, Image] = {}
        self.places: list[Location] = []

    def get(self, image_id: str, *, visible_to: str | None = None) -> Image:
        image = self.records.get(image_id)
        if image is None or not _is_visible(image, visible_to):
            raise errors.ImageNotFound(image_id)
        return dataclasses.replace(image)

    def page(self, listing: Listing, *, visible_to: str | None = None) -> list[Image]:
        shown = [image for image in self.records.values() if _is_visible(image, visible_to)]
        return page_of(shown, listing)

    def locations(self, image_id: str) -> list[Location]:
        return self._places(image_id, 'active')

    def delete(self, image_id: str) -> list[Location]:
        image = self.records.get(image_id)
        if image is None or image.status == Status.DELETED:
            raise errors.ImageNotFound(image_id)
        if image.protected:
            raise errors.Forbidden(f'Image {image_id} is protected; it cannot be deleted.')
        image.status = Status.DELETED
        self._move(image_id, 'active', 'pending_delete')
        return self._places(image_id, 'pending_delete')

    def removable(self) -> list[Location]:
        return [one for one in self.places if one.status == 'pending_delete']

    def remove_location(self, location: Location) -> None:
        if location in self.places:
            self.places.remove(location)

    def create(self, lease: Lease, image: Image) -> None:
        self._verify_lease(lease)
        known = self.records.get(image.id)
        if known is None:
            self.records[image.id] = dataclasses.replace(image)
        elif known.created_by_task != lease.task_id:
            raise errors.ImageExists(image.id)
        elif known.status == Status.DELETED:
            raise errors.ImageGone(image.id)

    def verify_importing(self, lease: Lease, image_id: str, *, max_age: float = 0.0) -> None:
        image = self.records.get(image_id)
        if image is None or (image.created_by_task, image.status) != (
            lease.task_id,
            Status.IMPORTING,
        ):
            raise errors.ImageGone(image_id)

    def announce(self, lease: Lease, location: Location) -> list[Location]:
        self._verify_lease(lease)
        self.verify_importing(lease, location.image_id)
        earlier = self._places(location.image_id, 'pending')
        if location not in earlier:
            self.places.append(location)
        return [one for one in earlier if one != location]

    def announced(self, lease: Lease, image_id: str) -> list[Location]:
        self._verify_lease(lease)
        image = self.records.get(image_id)
        if image is None or image.created_by_task != lease.task_id:
            return []
        return self._places(image_id, 'pending')

    def withdraw(self, lease: Lease, location: Location) -> None:
        self._verify_lease(lease)
        self.remove_location(dataclasses.replace(location, status='pending'))

    def remove(self, lease: Lease, image_id: str) -> None:
        self._verify_lease(lease)
        image = self.records.get(image_id)
        if image is None or image.created_by_task != lease.task_id:
            return
        if image.status in (Status.IMPORTING, Status.DELETED):
            if image.status != Status.DELETED:
                del self.records[image_id]
            self.places = [one for one in self.places if one.image_id != image_id]

    def absence(self, image_id: str) -> Write:
        def verify() -> None:
            if image_id in self.records:
                raise errors.ImageExists(image_id)

        return FakeWrite(verify)

    def activation(
        self,
        lease: Lease,
        image_id: str,
        url: str,
        facts: collections.abc.Mapping[str, typing.Any],
    ) -> Write:
        return FakeWrite(lambda: self._activate(lease, image_id, url, facts), lease)

    def property_update(
        self, lease: Lease, image_id: str, properties: collections.abc.Mapping[str, str]
    ) -> Write:
        def update() -> None:
            image = self.records.get(image_id)
            if image is None or image.status == Status.DELETED:
                raise errors.ImageGone(image_id)
            image.properties |= properties

        return FakeWrite(update, lease)

    def _activate(
        self,
        lease: Lease,
        image_id: str,
        url: str,
        facts: collections.abc.Mapping[str, typing.Any],
    ) -> None:
        self.verify_importing(lease, image_id)
        image = self.records[image_id]
        image.status = Status.ACTIVE
        for name in ('size', 'virtual_size', 'checksum', 'os_hash_algo', 'os_hash_value'):
            setattr(image, name, facts[name])
        self.places = [
            dataclasses.replace(one, status='active') if one.url == url else one
            for one in self.places
        ]

    def _places(self, image_id: str, status: str) -> list[Location]:
        return [one for one in self.places if (one.image_id, one.status) == (image_id, status)]

    def _move(self, image_id: str, earlier: str, later: str) -> None:
        self.places = [
            dataclasses.replace(one, status=later)
            if (one.image_id, one.status) == (image_id, earlier)
            else one
            for one in self.places
        ]


def _is_visible(image: Image, project: str | None) -> bool:
    return image.status != Status.DELETED and (
        project is None or image.owner == project or image.visibility in ('public', 'community')
    )
