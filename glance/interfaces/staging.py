"""The staging area: where received bytes wait until they are stored."""

import abc
import collections.abc
import os
import typing

from glance.domain.checkpoint import Checkpoint
from glance.domain.lease import Lease


class Staging(abc.ABC):
    """A place with one folder for each task and claim.

    origin  what tells it from the staging areas of other hosts: the id of the area, and the
            host, by the names 'area' and 'host'. Part of what a fetch returns
    """

    origin: collections.abc.Mapping[str, str] = {}

    @abc.abstractmethod
    def path(self, lease: Lease) -> str:
        """The file that this claim writes. Its folder is made if it does not exist."""

    @abc.abstractmethod
    def folder(self, lease: Lease, *, earlier: bool = False) -> str:
        """The folder of this claim. With earlier=True the task's, which holds all claims."""

    @abc.abstractmethod
    def take_over(
        self,
        lease: Lease,
        predecessor: str | None,
        *,
        on_progress: collections.abc.Callable[[int], None] = lambda copied: None,
    ) -> Checkpoint | None:
        """Move or copy the durable bytes of an earlier claim to path(lease).

        predecessor  the process that held the task before, or None if it handed
                     the task back
        on_progress  called every few seconds with the bytes copied so far; an
                     exception from it ends the work

        Returns the Checkpoint of these bytes, or None if there are none to use.
        """

    def wrote_all(self, predecessor: str | None) -> bool:
        """Whether a process has ended, and all that it wrote on this host is in its files."""
        return False

    def holds(self, staged: collections.abc.Mapping[str, typing.Any]) -> bool:
        """Whether the file of a finished fetch is still here, and whole.

        staged  what the fetch has returned: path, size, and the origin
        """
        try:
            size = os.stat(staged['path'], follow_symlinks=False).st_size
        except OSError:
            return False
        # Before there were workers, fetches did not say where they had staged.
        is_here = staged.get('area') in (None, self.origin.get('area'))
        return bool(is_here and size == staged['size'])

    def has(self, task_id: str) -> bool:
        """Whether a task has a folder."""
        return task_id in self.task_ids()

    @abc.abstractmethod
    def task_ids(self) -> list[str]:
        """The tasks that have a folder."""

    @abc.abstractmethod
    def remove(self, lease: Lease, *, earlier: bool = False) -> None:
        """Remove the files of this claim; with earlier=True those of earlier claims too.

        Idempotent. Files of later claims stay, because this claim may have lost its lease.
        """
