"""A store: files in 256 folders, so that none holds too many. Its kind is "sharded"."""

import collections.abc
import errno
import filecmp
import pathlib
import re
import typing

from oslo_config import cfg

from glance import native_threads, threads
from glance.domain import errors
from glance.domain.image import UUID
from glance.image_data import files
from glance.interfaces.store import ImageStore

CHUNK = 4 * 2**20  # bytes copied between two reports of progress
_PATH = re.compile(rf'[0-9a-f]{{2}}/{UUID.pattern}\.[0-9]+')


class ShardedStore(ImageStore):
    """Copies staged files to <folder>/<first two digits>/<image id>.<lease number>."""

    options = [cfg.StrOpt('sharded_store_datadir', help='Directory of the images in the store.')]

    def __init__(self, folder: str) -> None:
        self._folder = files.ensure_folder(folder, 'sharded store')
        self._prefix = f'sharded://{self._folder}/'
        # Waiting for a disk stops no green thread.
        self._pool = native_threads.NativePool(4, 'sharded')

    @classmethod
    def local_folder(cls, name: str, section: typing.Any) -> str:
        folder: str | None = section.sharded_store_datadir
        if not folder:
            raise errors.ConfigError(f'[{name}] sharded_store_datadir is missing.')
        return folder

    @classmethod
    def from_conf(cls, folder: pathlib.Path | None, section: typing.Any) -> typing.Self:
        return cls(str(folder))

    def owns(self, url: str) -> bool:
        return url.startswith(self._prefix)

    def location_of(self, image_id: str, number: int) -> str:
        return f'{self._prefix}{image_id[:2].lower()}/{image_id}.{number:d}'

    def add(
        self,
        url: str,
        path: str,
        *,
        on_progress: collections.abc.Callable[[int], None] = lambda stored: None,
    ) -> None:
        target = self._path(url)
        copied = [0]
        copying = self._pool.submit(_copy, path, target, copied)
        try:
            files.wait_for(copying, lambda: on_progress(copied[0]), self._pool.tick)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise errors.StorageFull('the sharded store') from error
            raise

    def open(self, url: str) -> typing.BinaryIO:
        try:
            return open(self._path(url), 'rb', buffering=0)
        except OSError as error:
            raise errors.Unavailable(f'The bytes at {url} cannot be read.') from error

    def delete(self, url: str) -> None:
        path = str(self._path(url))
        for name in (f'{path}.part', path):
            files.remove(name, self._pool)

    def _path(self, url: str) -> pathlib.Path:
        if not self.owns(url) or not _PATH.fullmatch(url.removeprefix(self._prefix)):
            raise errors.Unavailable(f'There is nothing of this image store at {url}.')
        return pathlib.Path(url.removeprefix('sharded://'))


def _copy(path: str, target: pathlib.Path, copied: list[int]) -> None:
    """Copy a file durably, in a native thread. Overwrites nothing; idempotent for one file."""
    system = threads.original('os')
    target.parent.mkdir(mode=0o700, exist_ok=True)
    part = f'{target}.part'  # delete() removes it as well, for a process that died here
    with open(path, 'rb') as source, open(part, 'wb') as made:
        while data := source.read(CHUNK):
            made.write(data)
            copied[0] += len(data)
        made.flush()
        system.fsync(made.fileno())
    try:
        system.link(part, target)
    except FileExistsError:
        if not filecmp.cmp(part, target, shallow=False):
            raise errors.ForeignFile(target.name) from None
    finally:
        system.unlink(part)
    for folder in (target.parent, target.parent.parent):
        files.sync_folder(str(folder))
