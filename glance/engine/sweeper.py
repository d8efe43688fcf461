"""Removes the bytes that nobody else removes any more, and old idempotency keys.

In the stores these are the bytes of a deleted image whose store failed, or whose
process died, before they were removed; and those that a failed task could not
remove. In the staging area of this host they are what a task left here that ended
on another host.
"""

import collections.abc
import logging
import sys
import threading
import time

from glance.domain import errors
from glance.domain.image import Location
from glance.domain.lease import Lease
from glance.interfaces.repositories import ImageRepository, TaskRepository
from glance.interfaces.staging import Staging
from glance.interfaces.store import Stores
from glance.threads import StandingThread

LOG = logging.getLogger(__name__)

INTERVAL = 60.0  # seconds between two sweeps


class Sweeper:
    """One thread that sweeps at its start, and then every INTERVAL.

    Several processes may sweep at the same time, because removing is idempotent.

    is_queued  whether the task of a lease may still use what it has staged; True if that
               is not known now
    """

    def __init__(
        self,
        images: ImageRepository,
        tasks: TaskRepository,
        stores: Stores,
        staging: Staging,
        is_queued: collections.abc.Callable[[Lease], bool],
    ) -> None:
        self._images = images
        self._tasks = tasks
        self._stores = stores
        self._staging = staging
        self._is_queued = is_queued
        self._failed: frozenset[Location] = frozenset()  # the log has their errors
        self._look = threading.Event()
        self._asked: set[str] = set()  # tasks whose staging is to be looked at now
        self._sweeps_at = float('-inf')
        self._running = False
        self._thread: StandingThread | None = None

    def start(self) -> None:
        self._running = True
        self._thread = StandingThread('sweep', self._sweep_loop)
        self._thread.start()

    def look(self) -> None:
        """Sweep now."""
        self._sweeps_at = float('-inf')
        self._look.set()

    def look_at(self, task_id: str) -> None:
        """Remove now what this task has staged here, if it has ended. Does not wait."""
        self._asked.add(task_id)
        self._look.set()

    def stop(self, patience: float) -> None:
        """Stop sweeping. Waits up to patience seconds for the thread to end."""
        self._running = False
        self._look.set()
        if self._thread is not None:
            self._thread.join(patience)

    def _sweep_loop(self) -> None:
        while self._running:
            try:
                while self._asked:
                    self._sweep_task(self._asked.pop())
                if time.monotonic() >= self._sweeps_at:
                    self._sweeps_at = time.monotonic() + INTERVAL
                    self.sweep()
            except errors.DatabaseUnavailable:
                pass  # the database room has logged it
            except Exception:
                LOG.exception('Sweeping failed; trying again', extra={'action': 'sweep_failed'})
            self._look.wait(max(0, self._sweeps_at - time.monotonic()))
            self._look.clear()

    def sweep(self) -> None:
        """Remove what can be removed now. Raises what the database raises."""
        self._failed = frozenset(self._unremoved(self._images.removable()))
        self._tasks.forget_keys()
        self._sweep_staging()

    def _sweep_staging(self) -> None:
        """Remove what tasks have staged that have ended.

        A task has no entry any more once it has ended, and gets none again. It had
        one when its folder was made, so the folders are listed first.
        """
        for task_id in self._staging.task_ids():
            time.sleep(0)  # let other green threads run
            self._sweep_task(task_id)

    def _sweep_task(self, task_id: str) -> None:
        every_claim = Lease(task_id, sys.maxsize)
        if self._staging.has(task_id) and not self._is_queued(every_claim):
            self._staging.remove(every_claim, earlier=True)
            LOG.info(
                'Task %s has ended elsewhere; its staged bytes were removed here',
                task_id,
                extra={'action': 'staging_swept'},
            )

    def _unremoved(
        self, locations: collections.abc.Iterable[Location]
    ) -> collections.abc.Iterator[Location]:
        """Remove these locations, and yield those whose bytes cannot be removed now."""
        for location in locations:
            time.sleep(0)  # let other green threads run
            try:
                self._stores.of(location).delete(location.url)
            except Exception as error:
                if location not in self._failed:
                    LOG.error(
                        'Bytes in store %s cannot be removed now: %s: %s',
                        location.store,
                        location.url,
                        error,
                        extra={'action': 'sweep_failed'},
                    )
                yield location
                continue
            self._images.remove_location(location)
            LOG.info(
                'Bytes in store %s were removed: %s',
                location.store,
                location.url,
                extra={'action': 'bytes_swept'},
            )
