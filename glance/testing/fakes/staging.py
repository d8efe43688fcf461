"""A staging area without checkpoints of its own making."""

import collections.abc
import os
import pathlib
import shutil

from glance.domain.checkpoint import Checkpoint
from glance.domain.image import UUID
from glance.domain.lease import Lease
from glance.interfaces.staging import Staging


class FakeStaging(Staging):
    """Files in a folder of the test.

    What an earlier claim received is taken over if the test has put a
    Checkpoint for that claim into checkpoints.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = pathlib.Path(root)
        self.checkpoints: dict[Lease, Checkpoint] = {}

    def path(self, lease: Lease) -> str:
        folder = pathlib.Path(self.folder(lease))
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder / 'image')

    def folder(self, lease: Lease, *, earlier: bool = False) -> str:
        folder = self._root / lease.task_id
        return str(folder if earlier else folder / str(lease.number))

    def take_over(
        self,
        lease: Lease,
        predecessor: str | None,
        *,
        on_progress: collections.abc.Callable[[int], None] = lambda copied: None,
    ) -> Checkpoint | None:
        earlier = [one for one in self._staged(lease) if one != lease]
        taken = None
        for one in sorted(earlier, key=lambda one: one.number, reverse=True):
            if taken is None and one in self.checkpoints:
                taken = self.checkpoints[one]
                received = pathlib.Path(self.path(one)).read_bytes()[: taken.offset]
                pathlib.Path(self.path(lease)).write_bytes(received)
                on_progress(taken.offset)
            self.remove(one)
        return taken

    def task_ids(self) -> list[str]:
        return [path.name for path in self._root.glob('*') if UUID.fullmatch(path.name)]

    def remove(self, lease: Lease, *, earlier: bool = False) -> None:
        for one in self._staged(lease) if earlier else [lease]:
            shutil.rmtree(self.folder(one), ignore_errors=True)

    def _staged(self, lease: Lease) -> list[Lease]:
        """This claim and the earlier ones that have staged something."""
        folder = pathlib.Path(self.folder(lease, earlier=True))
        numbers = [int(path.name) for path in folder.glob('*')]
        return [Lease(lease.task_id, number) for number in numbers if number <= lease.number]
