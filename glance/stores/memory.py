"""Images in the memory of this process: for tests, and to read before writing a store."""

import io
import pathlib

from glance import interfaces
from glance.domain import errors


class MemoryStore(interfaces.ImageStore):
    """Keeps images in data, by their URL."""

    def __init__(self):
        self.data = {}

    def location_of(self, image_id, number):
        return f'memory://{image_id}.{number}'

    def add(self, url, path, *, on_progress=lambda stored: None):
        staged = pathlib.Path(path).read_bytes()
        if self.data.setdefault(url, staged) != staged:
            raise errors.ForeignFile(url)

    def open(self, url):
        if url not in self.data:
            raise errors.Unavailable(f'There are no bytes at {url}.')
        return io.BytesIO(self.data[url])

    def delete(self, url):
        self.data.pop(url, None)
