"""Removes the stored bytes that nobody else removes any more, and old idempotency keys.

These bytes are the bytes of a deleted image whose store failed, or whose process died,
before they were removed; and those that a failed task could not remove.
"""

import collections.abc
import logging
import threading
import time

from glance.domain import errors
from glance.domain.image import Location
from glance.interfaces.repositories import ImageRepository, TaskRepository
from glance.interfaces.store import Stores

LOG = logging.getLogger(__name__)

INTERVAL = 60.0  # seconds between two sweeps


class Sweeper:
    """One thread that sweeps at its start, and then every INTERVAL.

    Several processes may sweep at the same time, because removing is idempotent.
    """

    def __init__(self, images: ImageRepository, tasks: TaskRepository, stores: Stores) -> None:
        self._images = images
        self._tasks = tasks
        self._stores = stores
        self._failed: frozenset[Location] = frozenset()  # the log has their errors
        self._look = threading.Event()
        self._running = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._running = True
        self._thread = threading.Thread(target=self._sweep_loop, name='sweep', daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Sweep now."""
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
                self.sweep()
            except errors.DatabaseUnavailable:
                pass  # the database room has logged it
            except Exception:
                LOG.exception('Sweeping failed; trying again', extra={'action': 'sweep_failed'})
            self._look.wait(INTERVAL)
            self._look.clear()

    def sweep(self) -> None:
        """Remove what can be removed now. Raises what the database raises."""
        self._failed = frozenset(self._unremoved(self._images.removable()))
        self._tasks.forget_keys()

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
