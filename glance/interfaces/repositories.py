"""The repositories of tasks and images."""

import abc
import collections.abc
import typing

from glance.domain.entry import Entry
from glance.domain.events import Event
from glance.domain.idempotency import IdempotencyKey
from glance.domain.image import Image, Location
from glance.domain.lease import Lease
from glance.domain.listing import Listing
from glance.domain.task import Task
from glance.interfaces.writes import Write


class TaskRepository(abc.ABC):
    """Task records, as the API sees them."""

    @abc.abstractmethod
    def add(
        self,
        task: Task,
        entry: Entry,
        writes: collections.abc.Iterable[Write] = (),
        *,
        key: IdempotencyKey | None = None,
    ) -> bool:
        """Write task and entry in one transaction, and apply these writes in it.

        key  stands for the task from then on, for IdempotencyKey's LIFETIME at most. If it
             stands for another task, nothing is written

        Returns whether the task was added.

        Raises the error of a write that cannot be applied, WrongWrite for one that
        belongs to a claim. Nothing is written then.
        """

    @abc.abstractmethod
    def get(self, task_id: str, *, owner: str | None = None) -> Task:
        """A task that has not expired. Raises TaskNotFound.

        owner  the project that the task must belong to; None: any project
        """

    @abc.abstractmethod
    def of_key(self, key: IdempotencyKey) -> tuple[Task, str] | None:
        """The task for which a key stands, and the fingerprint of its request; or None."""

    @abc.abstractmethod
    def ended(self, ids: collections.abc.Collection[str]) -> list[Task]:
        """Those of these tasks that have ended, in any order."""

    @abc.abstractmethod
    def events(
        self, task_id: str, *, limit: int, after: int = 0, owner: str | None = None
    ) -> list[Event]:
        """What happened to a task, in order. Raises TaskNotFound.

        limit  events at most
        after  the number of the last event of the page before; Invalid if there is none
        """

    @abc.abstractmethod
    def page(self, listing: Listing, *, owner: str | None = None) -> list[Task]:
        """A page, without input, result, message and steps. Raises Invalid for a bad marker."""

    @abc.abstractmethod
    def of_image(self, image_id: str, *, owner: str | None = None) -> list[Task]:
        """All tasks that name this image and have not expired, newest first."""

    @abc.abstractmethod
    def purge(self, *, limit: int) -> int:
        """Remove at most this number of expired tasks, with their events. Returns how many."""

    @abc.abstractmethod
    def forget_keys(self) -> int:
        """Remove the keys that are older than IdempotencyKey's LIFETIME. Returns how many."""


class ImageRepository(abc.ABC):
    """Image records, and the locations of their bytes."""

    @abc.abstractmethod
    def get(self, image_id: str, *, visible_to: str | None = None) -> Image:
        """An image that is not deleted. Raises ImageNotFound.

        visible_to  the project that must be allowed to see it; None: no condition
        """

    @abc.abstractmethod
    def page(self, listing: Listing, *, visible_to: str | None = None) -> list[Image]:
        """A page. Raises Invalid for a bad marker."""

    @abc.abstractmethod
    def locations(self, image_id: str) -> list[Location]:
        """The active locations of an image: its bytes can be read there."""

    @abc.abstractmethod
    def delete(self, image_id: str) -> list[Location]:
        """Mark the image deleted. Returns the locations whose bytes must be removed.

        Raises ImageNotFound, or Forbidden for a protected image.
        """

    @abc.abstractmethod
    def removable(self) -> list[Location]:
        """The locations whose bytes must be removed: of deleted images, and left by tasks."""

    @abc.abstractmethod
    def remove_location(self, location: Location) -> None:
        """Delete the row of a location whose bytes are removed. Idempotent."""

    @abc.abstractmethod
    def absence(self, image_id: str) -> Write:
        """The write that fails with ImageExists if there is, or was, an image with this id."""

    @abc.abstractmethod
    def activation(
        self,
        lease: Lease,
        image_id: str,
        url: str,
        facts: collections.abc.Mapping[str, typing.Any],
    ) -> Write:
        """The write that makes the image of this task and its announced location active.

        url    of the location
        facts  size and virtual_size in bytes, checksum, os_hash_algo, os_hash_value

        It fails with ImageGone if the image was deleted meanwhile.
        """

    @abc.abstractmethod
    def property_update(
        self, lease: Lease, image_id: str, properties: collections.abc.Mapping[str, str]
    ) -> Write:
        """The write that sets these properties of an image, and leaves its others.

        It fails with ImageGone if the image was deleted meanwhile.
        """

    @abc.abstractmethod
    def create(self, lease: Lease, image: Image) -> None:
        """Add the record of an image that this task creates. Idempotent for the same task.

        Raises ImageExists if another image has the id, and ImageGone if the image
        of this task was deleted meanwhile.
        """

    @abc.abstractmethod
    def verify_importing(self, lease: Lease, image_id: str, *, max_age: float = 0.0) -> None:
        """Raises ImageGone unless the image of this task exists and is importing. Only reads.

        max_age  seconds for which the result of one read may be used again, for
                 all runs of this process
        """

    @abc.abstractmethod
    def announce(self, lease: Lease, location: Location) -> list[Location]:
        """Record a location before its first byte is written. Idempotent.

        Returns the other locations that were announced before.

        Raises ImageGone if the image was deleted meanwhile.
        """

    @abc.abstractmethod
    def announced(self, lease: Lease, image_id: str) -> list[Location]:
        """The pending locations of an image that this task created."""

    @abc.abstractmethod
    def withdraw(self, lease: Lease, location: Location) -> None:
        """Delete the row of a pending location whose bytes are removed. Idempotent."""

    @abc.abstractmethod
    def remove(self, lease: Lease, image_id: str) -> None:
        """Delete the record that this task created, unless the image is active. Idempotent.

        If a caller deleted the image, create() still raises ImageGone after this.
        """
