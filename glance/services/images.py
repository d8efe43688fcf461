"""The image service: what a caller can do with images."""

import collections.abc
import contextlib
import logging
import os
import typing

from glance.domain import errors
from glance.domain.caller import Caller
from glance.domain.image import Image, Status
from glance.domain.listing import Listing
from glance.interfaces.repositories import ImageRepository
from glance.interfaces.store import Stores

LOG = logging.getLogger(__name__)


class Images:
    """Shows, deletes and opens images.

    stores  the enabled stores
    """

    def __init__(self, repository: ImageRepository, stores: Stores) -> None:
        self._repository = repository
        self._stores = stores

    def get(self, image_id: str, *, by: Caller) -> Image:
        """An image that the caller may see. Raises ImageNotFound."""
        return self._repository.get(image_id, visible_to=_project(by))

    def list(self, listing: Listing, *, by: Caller) -> collections.abc.Sequence[Image]:
        """A page of images. Raises Invalid."""
        return self._repository.page(listing, visible_to=_project(by))

    def delete(self, image_id: str, *, by: Caller) -> None:
        """Delete an image and its bytes. Bytes that cannot be removed now are left to the sweeper.

        Raises ImageNotFound, Forbidden, Conflict, and Unavailable if a store that has
        bytes of the image is not enabled.
        """
        image = self.get(image_id, by=by)
        if image.owner != by.project_id and not by.is_admin:
            raise errors.Forbidden(f'Image {image_id} belongs to another project.')
        for location in self._repository.locations(image_id):
            self._stores.of(location)  # otherwise the bytes would stay for ever
        for location in self._repository.delete(image_id):
            try:
                self._stores.of(location).delete(location.url)
                self._repository.remove_location(location)
            except Exception as error:  # the image is deleted, so the caller has nothing to repeat
                LOG.error(
                    'Image %s: its bytes in store %s could not be removed; the sweeper tries '
                    'again: %s',
                    image_id,
                    location.store,
                    error,
                    extra={'action': 'bytes_left'},
                )

    def open(
        self, image_id: str, *, by: Caller
    ) -> tuple[Image, contextlib.AbstractContextManager[typing.BinaryIO] | None]:
        """The image and a file of its bytes, or None for an image that has no bytes yet.

        Raises ImageNotFound, Forbidden for a deactivated image, and Unavailable if
        no location can be read, or none holds as many bytes as the image has.
        """
        image = self.get(image_id, by=by)
        if image.status == Status.DEACTIVATED and not by.is_admin:
            raise errors.Forbidden(f'Image {image_id} is deactivated.')
        trouble = None
        for location in self._stores.by_weight(self._repository.locations(image_id)):
            try:
                with contextlib.ExitStack() as stack:
                    file = stack.enter_context(self._stores.of(location).open(location.url))
                    _require_whole(file, image)
                    return image, _closing(file, stack.pop_all())
            except errors.Unavailable as error:
                LOG.error(
                    'Image %s cannot be read from store %s: %s',
                    image_id,
                    location.store,
                    error.__cause__ or error,
                    extra={'action': 'image_unreadable'},
                )
                trouble = error
        if trouble is not None:
            raise trouble
        return image, None


def _require_whole(file: typing.BinaryIO, image: Image) -> None:
    """Raises Unavailable if a file does not have the size of its image."""
    try:
        held = file.seek(0, os.SEEK_END)
        file.seek(0)
    except OSError as error:
        raise errors.Unavailable(f'The bytes of image {image.id} cannot be read.') from error
    if held != image.size:
        raise errors.Unavailable(
            f'The stored bytes of image {image.id} are damaged: there are {held} of {image.size}.'
        )


@contextlib.contextmanager
def _closing(
    file: typing.BinaryIO, stack: contextlib.ExitStack
) -> collections.abc.Iterator[typing.BinaryIO]:
    with stack:
        yield file


def _project(by: Caller) -> str | None:
    """The project whose images the caller may see; None: all images."""
    return None if by.is_admin else by.project_id
