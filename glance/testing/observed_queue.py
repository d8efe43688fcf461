"""A task queue as tests see it: what the interface has, and what the outside sees of it."""

import abc
import collections.abc
import time
import typing

from glance.domain.events import Event
from glance.domain.leftover import Leftover
from glance.domain.steps import StepReport
from glance.domain.task import Status
from glance.interfaces.queue import TaskQueue

PATIENCE = 60.0  # seconds until a test gives up waiting for something that must happen


class ObservedQueue(TaskQueue):
    """A TaskQueue to which a test adds tasks, and whose tasks it can look at."""

    @abc.abstractmethod
    def add(
        self,
        task_id: str,
        *,
        type_: str = 'test',
        priority: int = 0,
        version: int = 1,
        work: dict[str, typing.Any] | None = None,
    ) -> None:
        """Accept a task, as the API does: the task is pending and has an entry."""

    @abc.abstractmethod
    def status_of(self, task_id: str) -> tuple[Status, str]:
        """The status and the message of a task that was ever added."""

    @abc.abstractmethod
    def cancel_of(self, task_id: str) -> tuple[str | None, str | None] | None:
        """The reason for the cancel of a task, and who asked for it; None if nobody did."""

    @abc.abstractmethod
    def leftovers_of(self, task_id: str) -> list[Leftover]:
        """What record_leftovers() recorded for a task, in order."""

    @abc.abstractmethod
    def events_of(self, task_id: str) -> list[Event]:
        """What happened to a task, in order."""

    @abc.abstractmethod
    def progress_of(self, task_id: str) -> tuple[int, list[StepReport]]:
        """How many percent of a task are done, and its steps so far."""

    @abc.abstractmethod
    def open(self) -> list[str]:
        """The tasks that have an entry."""

    def wait_until(self, true: collections.abc.Callable[[], bool], *, every: float = 0.01) -> None:
        """Return as soon as true() is. Raises TimeoutError after PATIENCE seconds.

        every  seconds between two calls of true()
        """
        until = time.monotonic() + PATIENCE
        while not true():
            if time.monotonic() > until:
                raise TimeoutError('The test waited in vain.')
            time.sleep(every)

    def end_of(self, task_id: str) -> Status:
        """The status of a task, once it has ended and its entry is gone."""
        self.wait_until(lambda: task_id not in self.open())
        return self.status_of(task_id)[0]
