"""The staging area: where received bytes wait until they are stored."""

import abc
import collections.abc

from glance.domain.checkpoint import Checkpoint
from glance.domain.lease import Lease


class Staging(abc.ABC):
    """A place with one folder for each task and claim."""

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

    @abc.abstractmethod
    def task_ids(self) -> list[str]:
        """The tasks that have a folder."""

    @abc.abstractmethod
    def remove(self, lease: Lease, *, earlier: bool = False) -> None:
        """Remove the files of this claim; with earlier=True those of earlier claims too.

        Idempotent. Files of later claims stay, because this claim may have lost its lease.
        """
