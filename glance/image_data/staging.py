"""The folders in which bytes wait on their way to a store.

    root/<task id>/<lease number>/image

A folder belongs to one claim of one task: nothing in it is shared, and what
no claim needs any more is removed as a whole.
"""

import contextlib

from glance import interfaces, threads
from glance.domain import errors
from glance.domain.image import UUID
from glance.image_data import files

FILE = 'image'


class FolderStaging(interfaces.Staging):
    """Staging in a folder of this host; it is made if need be, for its owner only."""

    def __init__(self, root):
        self._root = files.own_folder(root, 'staging folder')
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

    def remove(self, lease, *, earlier=False):
        folder = self._folder(lease.task_id)
        if not files.is_folder(folder):  # a link in its place would lead elsewhere
            if earlier:
                files.remove(folder, self._pool)
            return
        os = threads.original('os')
        numbers = [lease.number]
        if earlier:
            numbers = [
                int(name)
                for name in os.listdir(folder)
                if name.isdecimal() and int(name) <= lease.number
            ]
        for number in numbers:
            files.remove_folder(f'{folder}/{number:d}', self._pool)
        with contextlib.suppress(OSError):  # a later claim is in it, or it is gone
            os.rmdir(folder)

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
