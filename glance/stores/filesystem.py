"""Images as files in one folder: file://<folder>/<image id>.<lease number>."""

import contextlib
import errno
import os.path
import re

from glance import interfaces, threads
from glance.domain import errors
from glance.domain.image import UUID
from glance.image_data import copies, files

_NAME = re.compile(rf'{UUID.pattern}\.[0-9]+')
# The staged file cannot be linked: another file system, one without links, too many of them.
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS)


class FilesystemStore(interfaces.ImageStore):
    """Links a staged file into its folder; copies it from another file system.

    datadir    the folder, made if need be
    file_perm  permissions of stored files; 0 leaves them to their owner alone
    """

    def __init__(self, datadir, file_perm=0):
        self._folder = files.own_folder(datadir, 'image store')
        self._file_perm = file_perm
        self._pool = threads.NativePool(4, 'store')

    def location_of(self, image_id, number):
        return f'file://{self._folder}/{image_id}.{number:d}'

    def add(self, url, path, *, on_progress=lambda stored: None):
        target = self._path(url)
        try:
            self._place(path, target, on_progress)
            if self._file_perm:
                threads.original('os').chmod(target, self._file_perm)
            files.waited_for(
                self._pool.submit(files.sync_folder, self._folder), lambda: on_progress(0)
            )
        except OSError as error:
            if files.is_full(error):
                raise errors.StorageFull('the image store') from error
            raise

    def open(self, url):
        path = self._path(url)
        try:
            return open(path, 'rb', buffering=0)  # servers send from its descriptor
        except OSError as error:
            raise errors.Unavailable(
                f'The bytes at {os.path.basename(path)} cannot be read.'
            ) from error

    def delete(self, url):
        files.remove(self._path(url), self._pool)

    def _path(self, url):
        folder, _slash, name = url.removeprefix('file://').rpartition('/')
        if not url.startswith('file://') or folder != self._folder or not _NAME.fullmatch(name):
            raise errors.Unavailable(f'There is nothing of this image store at {url}.')
        return f'{folder}/{name}'

    def _link(self, path, target):
        threads.original('os').link(path, target, follow_symlinks=False)

    def _place(self, path, target, on_progress):
        """Give the staged file its name in the store, or a copy of it; never overwrite."""
        try:
            self._link(path, target)
            return
        except FileExistsError:
            if os.path.samefile(path, target):
                return
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            try:
                copies.Copy(path, target).make(self._pool, on_progress)
                return
            except FileExistsError:
                pass
        comparing = self._pool.submit(_same, path, target)
        if not files.waited_for(comparing, lambda: on_progress(0)):
            raise errors.ForeignFile(os.path.basename(target))


def _same(path, other):
    """Whether two files hold the same bytes."""
    system = threads.original('os')
    if system.stat(path).st_size != system.stat(other).st_size:
        return False
    with contextlib.ExitStack() as handles:
        one, two = (copies.opened(handles, each, system.O_RDONLY) for each in (path, other))
        while data := system.read(one, copies.AT_ONCE):
            if data != system.read(two, copies.AT_ONCE):
                return False
    return True
