"""A store in memory, for tests that have no other."""

import collections.abc
import io
import pathlib
import typing

from glance.domain import errors
from glance.interfaces.store import ImageStore


class FakeStore(ImageStore):
    """Keeps the bytes of images by their URL, in data."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}

    def location_of(self, image_id: str, number: int) -> str:
        return f'memory://{image_id}.{number}'

    def add(
        self,
        url: str,
        path: str,
        *,
        on_progress: collections.abc.Callable[[int], None] = lambda stored: None,
    ) -> None:
        staged = pathlib.Path(path).read_bytes()
        if self.data.setdefault(url, staged) != staged:
            raise errors.ForeignFile(url)

    def open(self, url: str) -> typing.BinaryIO:
        if url not in self.data:
            raise errors.Unavailable(f'There are no bytes at {url}.')
        return io.BytesIO(self.data[url])

    def delete(self, url: str) -> None:
        self.data.pop(url, None)
