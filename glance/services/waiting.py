"""Requests that wait for the end of a task.

One thread looks once a second for all of them, with one statement. The ends of
tasks in this process it hears of at once. It lives as long as anybody waits.
"""

import collections.abc
import contextlib
import logging
import threading
import time

from glance.domain.task import Task
from glance.interfaces.repositories import TaskRepository

LOG = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between two looks

IsGone = collections.abc.Callable[[], bool]


class Place:
    """The place of one request that waits for a task."""

    def __init__(self, is_gone: IsGone) -> None:
        self.is_gone = is_gone
        self._over = threading.Event()
        self._task: Task | None = None
        self._error: BaseException | None = None

    def end(self, *, task: Task | None = None, error: BaseException | None = None) -> None:
        """End the wait, with the ended task, an error, or nothing."""
        self._task, self._error = task, error
        self._over.set()

    def wait(self, seconds: float) -> Task | None:
        """The ended task; None if it has not ended. Raises what the look for it raised."""
        self._over.wait(seconds)
        if self._error is not None:
            raise self._error
        return self._task


class Waiting:
    """The requests of this process that wait for tasks.

    most      how many may wait at a time
    interval  seconds between two looks
    """

    def __init__(
        self, repository: TaskRepository, *, most: int, interval: float = INTERVAL
    ) -> None:
        self._repository = repository
        self._most = most
        self._interval = interval
        self._changed = threading.Condition()
        self._places: dict[str, set[Place]] = {}
        self._count = 0
        self._told: set[str] = set()  # tasks that this process has ended since the last look
        self._looks = False  # there is a thread that looks
        self._stopped = False

    @contextlib.contextmanager
    def place(self, task_id: str, is_gone: IsGone) -> collections.abc.Iterator[Place | None]:
        """A place from before the first look at a task, so that no end is missed; None: full.

        is_gone  whether the client has hung up; its place is free for another one then
        """
        place = self._take(task_id, is_gone)
        if place is None:
            yield None
            return
        try:
            yield place
        finally:
            self._leave(task_id, place)

    def _take(self, task_id: str, is_gone: IsGone) -> Place | None:
        with self._changed:
            if self._stopped or self._count >= self._most:
                return None
            if not self._looks:
                threading.Thread(target=self._look, name='wait', daemon=True).start()
                self._looks = True
            place = Place(is_gone)
            self._count += 1
            self._places.setdefault(task_id, set()).add(place)
            return place

    def _leave(self, task_id: str, place: Place) -> None:
        with self._changed:
            places = self._places[task_id]
            places.discard(place)
            if not places:
                del self._places[task_id]
            self._count -= 1

    def tell(self, task_id: str) -> None:
        """This process has ended a task: on_end of the queue."""
        with self._changed:
            if task_id in self._places:
                self._told.add(task_id)
                self._changed.notify()

    def stop(self) -> None:
        """Nobody waits any more: all are answered now, and whoever comes is answered at once."""
        with self._changed:
            self._stopped = True
            for place in self._all():
                place.end()
            self._changed.notify()

    def _all(self) -> list[Place]:
        return [place for places in self._places.values() for place in places]

    def _look(self) -> None:
        due = time.monotonic() + self._interval
        while True:
            with self._changed:
                patience = max(0.0, due - time.monotonic())
                self._changed.wait_for(lambda: self._told or self._stopped, patience)
                if self._stopped or not self._places:
                    self._looks = False
                    return
                ids, self._told = self._told & self._places.keys(), set()
                if time.monotonic() >= due:
                    due = time.monotonic() + self._interval
                    ids = set(self._places)
                    for place in self._all():
                        if place.is_gone():
                            place.end()
            if ids:
                self._read(ids)

    def _read(self, ids: set[str]) -> None:
        """End the waits for those of these tasks that have ended, or all if none can be read."""
        try:
            ended = self._repository.ended(ids)
        except Exception as error:  # each of the requests raises it, as if it had looked itself
            with self._changed:
                for task_id in ids & self._places.keys():
                    for place in self._places[task_id]:
                        place.end(error=error)
            return
        with self._changed:
            for task in ended:
                for place in self._places.get(task.id, ()):
                    place.end(task=task)
