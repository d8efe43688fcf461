"""A store that keeps images as files of one folder: file://<folder>/<image id>.<lease number>."""

import contextlib
import errno
import os.path
import pathlib
import re
import typing
from collections.abc import Callable
from typing import BinaryIO

from glance import native_threads, threads
from glance.conf import _file_store
from glance.domain import errors
from glance.domain.image import UUID
from glance.image_data import deployment_marker, file_copy, files
from glance.interfaces.store import ImageStore

_NAMED = 'the image store'  # how messages call it
_NAME = re.compile(rf'{UUID.pattern}\.[0-9]+')
# The staged file cannot be linked: another file system, one without links, or too many links.
_CANNOT_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS)


class FilesystemStore(ImageStore):
    """Links staged files into its folder, or copies them from another file system.

    If the folder loses its marker, its disk is no longer mounted. Nothing is written
    there then, and a file that is missing does not count as deleted.

    datadir    the folder; it is made if it does not exist
    file_perm  the permissions of stored files; with 0 only their owner may read them
    disk       the disk that the folder is on
    pool       copies, compares and removes files; a pool of its own by default
    """

    options = _file_store.OPTS
    goes_on = True

    def __init__(
        self,
        datadir: str,
        file_perm: int = 0,
        *,
        disk: files.Disk = files.DISK,
        pool: native_threads.NativePool | None = None,
    ) -> None:
        self._folder = files.ensure_folder(datadir, 'image store')
        self._deployment = deployment_marker.read(pathlib.Path(self._folder))
        self._file_perm = file_perm
        self._disk = disk
        self._pool = pool or native_threads.NativePool(4, 'store')
        self._taken_over: dict[str, int] = {}  # by path: the good bytes of what add() goes on with

    @classmethod
    def local_folder(cls, name: str, section: typing.Any) -> str:
        folder: str | None = section.filesystem_store_datadir
        if not folder:
            raise errors.ConfigError(
                f'[{name}] filesystem_store_datadir is missing: the directory of this store.'
            )
        return folder

    @classmethod
    def from_conf(cls, folder: pathlib.Path | None, section: typing.Any) -> typing.Self:
        return cls(str(folder), file_perm=section.filesystem_store_file_perm)

    def is_reachable(self) -> bool:
        found = deployment_marker.read(pathlib.Path(self._folder))
        return found is not None and found == self._deployment

    def owns(self, url: str) -> bool:
        return url.startswith(f'file://{self._folder}/')

    def location_of(self, image_id: str, number: int) -> str:
        return f'file://{self._folder}/{image_id}.{number:d}'

    def take_over(self, earlier: str, url: str, *, trusted: bool) -> bool:
        path, target = self._path(earlier), self._path(url)
        system = threads.original('os')
        try:
            size = system.lstat(path).st_size
            if system.path.lexists(target):
                return False
            # Whoever might still write there writes the same bytes to the same places.
            system.rename(path, target)
        except OSError:
            return False
        self._taken_over[target] = size if trusted else file_copy.durable(size)
        return True

    def add(
        self, url: str, path: str, *, on_progress: Callable[[int], None] = lambda stored: None
    ) -> None:
        target = self._path(url)
        with files.named_errors(_NAMED):
            self._require_mounted()
            self._place(path, target, on_progress)
            if self._file_perm:
                threads.original('os').chmod(target, self._file_perm)
            syncing = self._pool.submit(files.sync_folder, self._folder)
            files.wait_for(syncing, lambda: on_progress(0), self._pool.tick)

    def open(self, url: str) -> BinaryIO:
        path = self._path(url)
        try:
            # It is shared with the staging area until the import has cleaned up.
            handle = files.open_plain(path, os.O_RDONLY, shared=True)
            return open(handle, 'rb', buffering=0)  # servers use its descriptor to send it
        except OSError as error:
            raise errors.Unavailable(
                f'The bytes at {os.path.basename(path)} cannot be read.'
            ) from error

    def delete(self, url: str) -> None:
        path = self._path(url)
        if not os.path.lexists(path):
            self._require_mounted()
        files.remove(path, self._pool)

    def _require_mounted(self) -> None:
        """Raises StorageUnusable if the marker that the folder had at the start is not there."""
        if self._deployment in (None, deployment_marker.read(pathlib.Path(self._folder))):
            return
        fact = f'its folder has lost its {deployment_marker.FILE}; its disk may not be mounted'
        error = OSError(errno.ENODEV, fact, self._folder)
        raise errors.StorageUnusable(_NAMED, error) from error

    def _path(self, url: str) -> str:
        folder, _slash, name = url.removeprefix('file://').rpartition('/')
        if not url.startswith('file://') or folder != self._folder or not _NAME.fullmatch(name):
            raise errors.Unavailable(f'There is nothing of this image store at {url}.')
        return f'{folder}/{name}'

    def _place(self, path: str, target: str, on_progress: Callable[[int], None]) -> None:
        """Link or copy the staged file to its name in the store. Never overwrites a file."""
        begins_at = self._taken_over.pop(target, None)
        try:
            self._disk.link(path, target)
            return
        except FileExistsError:
            if os.path.samestat(os.lstat(path), os.lstat(target)):
                return
            is_new = False
        except OSError as error:
            if error.errno not in _CANNOT_LINK:
                raise
            is_new = True
        if is_new or begins_at is not None:
            copy = file_copy.FileCopy(
                path, target, disk=self._disk, begins_at=begins_at, keeps=True
            )
            try:
                copy.make(self._pool, on_progress)
                return
            except FileExistsError:
                pass
        comparing = self._pool.submit(_same, path, target)
        if not files.wait_for(comparing, lambda: on_progress(0), self._pool.tick):
            raise errors.ForeignFile(os.path.basename(target))


def _same(path: str, other: str) -> bool:
    """Whether two files hold the same bytes."""
    system = threads.original('os')
    if system.lstat(path).st_size != system.lstat(other).st_size:
        return False
    with contextlib.ExitStack() as handles:
        one, two = (file_copy.opened(handles, each, system.O_RDONLY) for each in (path, other))
        while data := system.read(one, file_copy.CHUNK):
            if data != system.read(two, file_copy.CHUNK):
                return False
    return True
