"""What callers can do with images."""

import collections.abc
import contextlib
import typing

from glance import interfaces
from glance.domain import errors
from glance.domain.caller import Caller
from glance.domain.image import Image, Status
from glance.domain.listing import Listing


class Images:
    """Shows, deletes and opens images.

    stores  store name to ImageStore
    """

    def __init__(
        self,
        repository: interfaces.ImageRepository,
        stores: collections.abc.Mapping[str, interfaces.ImageStore],
    ) -> None:
        self._repository = repository
        self._stores = stores

    def get(self, image_id: str, *, by: Caller) -> Image:
        """Raises ImageNotFound."""
        return self._repository.get(image_id, visible_to=_project(by))

    def list(self, listing: Listing, *, by: Caller) -> collections.abc.Sequence[Image]:
        """A page of images. Raises Invalid."""
        return self._repository.page(listing, visible_to=_project(by))

    def delete(self, image_id: str, *, by: Caller) -> None:
        """Delete an image and its bytes. Raises ImageNotFound, Forbidden, Conflict."""
        image = self.get(image_id, by=by)
        if image.owner != by.project_id and not by.is_admin:
            raise errors.Forbidden(f'Image {image_id} belongs to another project.')
        for location in self._repository.delete(image_id):
            self._stores[location.store].delete(location.url)
            self._repository.forget(location)

    def open(
        self, image_id: str, *, by: Caller
    ) -> tuple[Image, contextlib.AbstractContextManager[typing.BinaryIO] | None]:
        """The image and its bytes, or None in their place while it has none.

        Raises ImageNotFound, Forbidden for a deactivated image, Unavailable if
        no location can be read.
        """
        image = self.get(image_id, by=by)
        if image.status == Status.DEACTIVATED and not by.is_admin:
            raise errors.Forbidden(f'Image {image_id} is deactivated.')
        trouble = None
        for location in self._repository.locations(image_id):
            try:
                return image, self._stores[location.store].open(location.url)
            except errors.Unavailable as error:
                trouble = error
        if trouble is not None:
            raise trouble
        return image, None


def _project(by: Caller) -> str | None:
    return None if by.is_admin else by.project_id
