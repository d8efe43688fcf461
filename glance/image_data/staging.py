"""The folders in which bytes wait on their way to a store.

    root/<task id>/<lease number>/image, image.checkpoint

A folder belongs to one claim of one task: nothing in it is shared, and what
no claim needs any more is removed as a whole. A later claim gets the bytes of
an earlier one by renaming its folder if nobody can write there any more, else
by a copy of what the checkpoint says is durable and stays as it is.
"""

import contextlib
import dataclasses
import logging

from glance import interfaces, threads
from glance.domain import errors
from glance.domain.image import UUID
from glance.image_data import checkpoints, copies, files

LOG = logging.getLogger(__name__)

FILE = 'image'


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
        try:
            if checkpoint is None:
                pass
            elif number == lease.number - 1 and self._is_at_rest(predecessor, checkpoint):
                self._rename(lease, number, checkpoint)
            else:
                self._copy(lease, number, checkpoint, on_progress)
        except (OSError, EOFError) as error:  # gone meanwhile, or no room for a copy
            LOG.warning('Task %s: its staged bytes are of no use: %s', lease.task_id, error)
            checkpoint = None
        for earlier in self._numbers(lease):  # their room may be needed
            if earlier < lease.number:
                folder = self._folder(lease.task_id)
                files.remove_folder(f'{folder}/{earlier:d}', self._pool)
        return checkpoint

    def _latest(self, lease):
        """The last earlier claim with a Checkpoint, and that; or None, None."""
        for number in self._numbers(lease):
            folder = f'{self._folder(lease.task_id)}/{number:d}'
            if number < lease.number and files.is_folder(folder):
                checkpoint = checkpoints.read(f'{folder}/{FILE}')
                if checkpoint is not None:
                    return number, checkpoint
        return None, None

    def _is_at_rest(self, predecessor, checkpoint):
        """Whether nobody who held the lease before can still write to the file."""
        return checkpoint.closed if predecessor is None else self._is_dead(predecessor)

    def _rename(self, lease, number, checkpoint):
        folder = self._folder(lease.task_id)
        files.remove_folder(f'{folder}/{lease.number:d}', self._pool)
        threads.original('os').rename(f'{folder}/{number:d}', f'{folder}/{lease.number:d}')
        self._note(self.path(lease), checkpoint)

    def _copy(self, lease, number, checkpoint, on_progress):
        path = self.path(lease)
        files.remove(path, self._pool)
        earlier = f'{self._folder(lease.task_id)}/{number:d}/{FILE}'
        copies.Copy(earlier, path, checkpoint.offset).make(self._pool, on_progress)
        self._note(path, checkpoint)

    def _note(self, path, checkpoint):
        """From now on this claim writes to it."""
        opened = dataclasses.replace(checkpoint, closed=False)
        self._pool.submit(checkpoints.write, path, opened).wait()

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
                raise errors.ForeignFile('a folder of the staging area') from None
        except OSError as error:
            if files.is_full(error):
                raise errors.StorageFull('the staging area') from error
            raise
