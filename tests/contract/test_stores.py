import errno
import os

from glance.stores.filesystem import FilesystemStore
from glance.testing.contracts.store import ImageStoreContract
from glance.testing.fakes.store import FakeStore


class TestMemory(ImageStoreContract):
    def make_store(self, folder):
        return FakeStore()


class TestFilesystem(ImageStoreContract):
    def make_store(self, folder):
        return FilesystemStore(str(folder))


class TestFilesystemThatCannotLink(ImageStoreContract):
    """As when staging and store are on different file systems."""

    def make_store(self, folder):
        class Copies(FilesystemStore):
            def _link(self, path, target):
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

        return Copies(str(folder))
