"""The folders in which bytes wait on their way to a store.

    root/<task id>/<lease number>/image, image.checkpoint

A folder belongs to one claim of one task: nothing in it is shared, and what
no claim needs any more is removed as a whole. A later claim gets the bytes of
an earlier one by renaming its folder if nobody can write there any more, else
by a copy of what the checkpoint says is durable and stays as it is.
"""

import contextlib
import errno
import logging

from glance import interfaces, threads
from glance.domain import errors
from glance.domain.image import UUID
from glance.image_data import checkpoints, files

LOG = logging.getLogger(__name__)

FILE = 'image'
AT_ONCE = 16 * 2**20  # bytes copied between two looks whether to go on


class FolderStaging(interfaces.Staging):
    """Staging in a folder of this host; it is made if need be, for its owner only.

    is_dead  is_dead(owner): whether the process that held leases under this
             name has provably ended
    """

    def __init__(self, root, is_dead=lambda owner: False):
        self._root = files.own_folder(root, 'staging folder')
        self._is_dead = is_dead
        self._pool = threads.NativePool(2, 'staging')

    def path(self, lease):
        folder = self._folder(lease.task_id)
        own = f'{folder}/{lease.number:d}'
        while True:
            self._make(folder)
            try:
                self._make(own)
            except FileNotFoundError:  # an earlier claim that tidied up found it empty
                continue
            return f'{own}/{FILE}'

    def folder(self, lease, *, earlier=False):
        folder = self._folder(lease.task_id)
        return folder if earlier else f'{folder}/{lease.number:d}'

    def take_over(self, lease, predecessor, *, on_progress=lambda copied: None):
        number, checkpoint = self._latest(lease)
        if checkpoint is None:
            return None
        try:
            if number == lease.number - 1 and self._is_at_rest(predecessor, checkpoint):
                self._rename(lease, number)
            else:
                self._copy(lease, number, checkpoint, on_progress)
        except OSError as error:  # gone meanwhile, or no room for a copy, or no copies here
            LOG.warning('Task %s: its staged bytes are of no use: %s', lease.task_id, error)
            return None
        return checkpoint

    def _latest(self, lease):
        """The last earlier claim with a Checkpoint, and that; or None, None."""
        for number in self._numbers(lease):
            path = f'{self._folder(lease.task_id)}/{number:d}/{FILE}'
            if number < lease.number and (checkpoint := checkpoints.read(path)):
                return number, checkpoint
        return None, None

    def _is_at_rest(self, predecessor, checkpoint):
        """Whether nobody who held the lease before can still write to the file."""
        return checkpoint.closed if predecessor is None else self._is_dead(predecessor)

    def _rename(self, lease, number):
        folder = self._folder(lease.task_id)
        files.remove_folder(f'{folder}/{lease.number:d}', self._pool)
        threads.original('os').rename(f'{folder}/{number:d}', f'{folder}/{lease.number:d}')

    def _copy(self, lease, number, checkpoint, on_progress):
        os = threads.original('os')
        folder, path = self._folder(lease.task_id), self.path(lease)
        files.remove(path, self._pool)
        flags = os.O_CLOEXEC | os.O_NOFOLLOW
        with contextlib.ExitStack() as handles:
            old = os.open(f'{folder}/{number:d}/{FILE}', os.O_RDONLY | flags)
            handles.callback(os.close, old)
            new = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags, 0o600)
            handles.callback(os.close, new)
            copied = 0
            while copied < checkpoint.offset:
                # The kernel shares the blocks where the file system can.
                most = min(AT_ONCE, checkpoint.offset - copied)
                part = self._pool.submit(os.copy_file_range, old, new, most).wait()
                if part == 0:
                    raise OSError(errno.ENODATA, 'the file is shorter than it should be')
                copied += part
                on_progress(copied)
            self._pool.submit(os.fdatasync, new).wait()
        self._pool.submit(checkpoints.write, path, checkpoint).wait()

    def remove(self, lease, *, earlier=False):
        folder = self._folder(lease.task_id)
        if not files.is_folder(folder):  # a link in its place would lead elsewhere
            if earlier:
                files.remove(folder, self._pool)
            return
        for number in self._numbers(lease) if earlier else [lease.number]:
            files.remove_folder(f'{folder}/{number:d}', self._pool)
        with contextlib.suppress(OSError):  # a later claim is in it, or it is gone
            threads.original('os').rmdir(folder)

    def _numbers(self, lease):
        """The claims up to this one that have a folder, the latest first."""
        try:
            names = threads.original('os').listdir(self._folder(lease.task_id))
        except FileNotFoundError:
            return []
        numbers = [int(name) for name in names if name.isdecimal()]
        return sorted((number for number in numbers if number <= lease.number), reverse=True)

    def _folder(self, task_id):
        if not UUID.fullmatch(task_id):
            raise ValueError(f'{task_id!r} is no id of a task.')
        return f'{self._root}/{task_id}'

    def _make(self, folder):
        os = threads.original('os')
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            if not files.is_folder(folder):
                raise errors.ForeignFile(folder) from None
        except OSError as error:
            if files.is_full(error):
                raise errors.StorageFull('the staging area') from error
            raise
