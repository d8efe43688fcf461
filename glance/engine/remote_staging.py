"""The staging area of a conductor whose steps are done by workers, with areas of their own."""

import collections.abc
import typing

from glance.domain.checkpoint import Checkpoint
from glance.domain.lease import Lease
from glance.engine.remote_steps import RemoteSteps
from glance.interfaces.staging import Staging


class RemoteStaging(Staging):
    """The staging area of this process, and what workers have staged in theirs.

    here  the area of this process
    """

    def __init__(self, here: Staging, remote: RemoteSteps) -> None:
        self._here = here
        self._remote = remote
        self.origin = here.origin

    def path(self, lease: Lease) -> str:
        return self._here.path(lease)

    def folder(self, lease: Lease, *, earlier: bool = False) -> str:
        return self._here.folder(lease, earlier=earlier)

    def take_over(
        self,
        lease: Lease,
        predecessor: str | None,
        *,
        on_progress: collections.abc.Callable[[int], None] = lambda copied: None,
    ) -> Checkpoint | None:
        return self._here.take_over(lease, predecessor, on_progress=on_progress)

    def wrote_all(self, predecessor: str | None) -> bool:
        return self._here.wrote_all(predecessor)

    def holds(self, staged: collections.abc.Mapping[str, typing.Any]) -> bool:
        """Whether the file is here, or may be at a worker, which looks itself."""
        area = staged.get('area')
        if area in (None, self.origin.get('area')):
            return self._here.holds(staged)
        return not self._remote.is_gone(area)

    def task_ids(self) -> list[str]:
        return self._here.task_ids()

    def remove(self, lease: Lease, *, earlier: bool = False) -> None:
        self._here.remove(lease, earlier=earlier)
        if earlier:  # if the task has ended; a sweep of each area finds what this one misses
            self._remote.sweep(lease.task_id)
