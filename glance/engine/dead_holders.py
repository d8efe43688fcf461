"""Frees the tasks that dead processes of this host held."""

import logging
import threading

from glance.domain import errors
from glance.engine.lease_holders import LeaseHolder
from glance.interfaces.queue import TaskQueue

LOG = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between two looks at the run folder


class DeadHolderWatch:
    """One thread that looks for processes that have died.

    It asks the database only when the file of a process can newly be locked.
    """

    def __init__(self, queue: TaskQueue, holder: LeaseHolder) -> None:
        self._queue = queue
        self._holder = holder
        self._known: set[str] | None = None  # unlocked files at the last look; None: none yet
        self._stopping = threading.Event()

    def start(self) -> None:
        """Free what can be freed now, and begin to watch. An outage delays it to a later look."""
        self._look()
        threading.Thread(target=self._loop, name='dead-holders', daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def _loop(self) -> None:
        while not self._stopping.wait(INTERVAL):
            self._look()

    def _look(self) -> None:
        try:
            found = self._holder.unlocked()
            if self._known is None or found - self._known:
                self._free()
            self._known = found
        except errors.DatabaseUnavailable:
            pass  # the database room has logged it; the next look tries again
        except Exception:
            LOG.exception('Looking for processes that have died failed; trying again')

    def _free(self) -> None:
        holding = self._queue.holders()
        dead = self._holder.dead(holding)
        freed = self._queue.expire(dead) if dead else 0
        if freed:
            LOG.info(
                'Freed %s tasks of %s processes that ended without handing them back',
                freed,
                len(dead),
                extra={'action': 'leases_freed'},
            )
        self._holder.sweep(holding)
