"""The staging area: folders in which received bytes wait until they are stored.

    root/<task id>/<lease number>/image, image.checkpoint

Each folder belongs to one claim of one task, and is removed as a whole when no
claim needs it any more. A later claim takes over the bytes of an earlier one. It
renames the folder if no process can write there any more. Otherwise it copies
the bytes before the checkpoint, which are durable and do not change.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Mapping

from glance import native_threads, threads
from glance.domain import errors
from glance.domain.checkpoint import Checkpoint
from glance.domain.image import UUID
from glance.domain.lease import Lease
from glance.image_data import checkpoints, file_copy, files
from glance.interfaces.staging import Staging

LOG = logging.getLogger(__name__)

FILE = 'image'


class FolderStaging(Staging):
    """Staging in a folder of this host.

    root     the folder; it is made if it does not exist, for its owner only
    is_dead  says of the process with a given id whether it has certainly ended
    is_here  says of a dead process whether this host was not restarted since: then all
             that it wrote is in the file, durable or not
    origin   as for Staging; where all processes that run tasks share the area, it needs none
    disk     the disk that the folder is on
    pool     copies and removes large files; a pool of its own by default
    """

    def __init__(
        self,
        root: str,
        is_dead: Callable[[str], bool] = lambda owner: False,
        is_here: Callable[[str], bool] = lambda owner: False,
        *,
        origin: Mapping[str, str] | None = None,
        disk: files.Disk = files.DISK,
        pool: native_threads.NativePool | None = None,
    ) -> None:
        self._root = files.ensure_folder(root, 'staging folder')
        self._is_dead = is_dead
        self._is_here = is_here
        self.origin = origin or {}
        self._disk = disk
        self._pool = pool or native_threads.NativePool(2, 'staging')

    def path(self, lease: Lease) -> str:
        folder = self._folder(lease.task_id)
        own = f'{folder}/{lease.number:d}'
        while True:
            self._make(folder)
            try:
                self._make(own)
            except FileNotFoundError:  # an earlier claim has just removed the empty folder
                continue
            return f'{own}/{FILE}'

    def folder(self, lease: Lease, *, earlier: bool = False) -> str:
        folder = self._folder(lease.task_id)
        return folder if earlier else f'{folder}/{lease.number:d}'

    def take_over(
        self,
        lease: Lease,
        predecessor: str | None,
        *,
        on_progress: Callable[[int], None] = lambda copied: None,
    ) -> Checkpoint | None:
        if lease.number == 1:  # nothing is earlier
            return None
        number, checkpoint = self._latest(lease)
        try:
            if number is None or checkpoint is None:
                pass
            elif number == lease.number - 1 and self._is_closed(predecessor, checkpoint):
                trusted = predecessor is not None and self._is_here(predecessor)
                checkpoint = self._rename(lease, number, checkpoint, trusted)
            else:
                self._copy(lease, number, checkpoint, on_progress)
        except (OSError, EOFError) as error:  # the files are gone, or there is no room for a copy
            LOG.warning('Task %s: its staged bytes cannot be used: %s', lease.task_id, error)
            checkpoint = None
        for earlier in self._numbers(lease):  # free the disk for this claim
            if earlier < lease.number:
                folder = self._folder(lease.task_id)
                files.remove_folder(f'{folder}/{earlier:d}', self._pool)
        return checkpoint

    def wrote_all(self, predecessor: str | None) -> bool:
        return predecessor is not None and self._is_here(predecessor)

    def _latest(self, lease: Lease) -> tuple[int, Checkpoint] | tuple[None, None]:
        """The number of the last earlier claim with a checkpoint, and the checkpoint."""
        for number in self._numbers(lease):
            folder = f'{self._folder(lease.task_id)}/{number:d}'
            if number < lease.number and files.is_folder(folder):
                checkpoint = checkpoints.read(f'{folder}/{FILE}')
                if checkpoint is not None:
                    return number, checkpoint
        return None, None

    def _is_closed(self, predecessor: str | None, checkpoint: Checkpoint) -> bool:
        """Whether no process that held the lease before can still write to the file."""
        return checkpoint.closed if predecessor is None else self._is_dead(predecessor)

    def _rename(
        self, lease: Lease, number: int, checkpoint: Checkpoint, trusted: bool
    ) -> Checkpoint:
        """Take the folder of an earlier claim; returns the checkpoint from then on.

        trusted  all bytes of the file are good, not only those before the checkpoint
        """
        folder = self._folder(lease.task_id)
        path = f'{folder}/{number:d}/{FILE}'
        cut = self._pool.submit(files.cut, path, checkpoint.offset, not trusted)
        checkpoint = checkpoint.moved_to(cut.result())
        files.remove_folder(f'{folder}/{lease.number:d}', self._pool)
        threads.original('os').rename(f'{folder}/{number:d}', f'{folder}/{lease.number:d}')
        self._reopen(self.path(lease), checkpoint)
        return checkpoint

    def _copy(
        self, lease: Lease, number: int, checkpoint: Checkpoint, on_progress: Callable[[int], None]
    ) -> None:
        path = self.path(lease)
        files.remove(path, self._pool)
        earlier = f'{self._folder(lease.task_id)}/{number:d}/{FILE}'
        copy = file_copy.FileCopy(earlier, path, checkpoint.offset, self._disk)
        copy.make(self._pool, on_progress)
        self._reopen(path, checkpoint)

    def _reopen(self, path: str, checkpoint: Checkpoint) -> None:
        """Write the checkpoint as open again, because this claim now writes to the file."""
        opened = dataclasses.replace(checkpoint, closed=False)
        self._pool.submit(checkpoints.write, path, opened).result()

    def has(self, task_id: str) -> bool:
        return bool(UUID.fullmatch(task_id)) and files.is_folder(self._folder(task_id))

    def task_ids(self) -> list[str]:
        names = threads.original('os').listdir(self._root)
        return [name for name in names if UUID.fullmatch(name)]

    def remove(self, lease: Lease, *, earlier: bool = False) -> None:
        folder = self._folder(lease.task_id)
        if not files.is_folder(folder):  # a symbolic link in its place must not be followed
            if earlier:
                files.remove(folder, self._pool)
            return
        for number in self._numbers(lease) if earlier else [lease.number]:
            files.remove_folder(f'{folder}/{number:d}', self._pool)
        with contextlib.suppress(OSError):  # it holds a later claim, or is gone
            threads.original('os').rmdir(folder)

    def _numbers(self, lease: Lease) -> list[int]:
        """The numbers of the claims up to this one that have a folder, the latest first."""
        try:
            names = threads.original('os').listdir(self._folder(lease.task_id))
        except FileNotFoundError:
            return []
        numbers = [int(name) for name in names if name.isdecimal()]
        return sorted((number for number in numbers if number <= lease.number), reverse=True)

    def _folder(self, task_id: str) -> str:
        if not UUID.fullmatch(task_id):
            raise ValueError(f'{task_id!r} is not the id of a task.')
        return f'{self._root}/{task_id}'

    def _make(self, folder: str) -> None:
        try:
            self._disk.make_folder(folder)
        except FileExistsError:
            if not files.is_folder(folder):
                raise errors.ForeignFile('a folder of the staging area') from None
        except OSError as error:
            raise files.explained(error, 'the staging area') from error
