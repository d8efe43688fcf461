"""Warns of tasks in the queue that this process cannot run."""

import collections.abc
import logging
import time

from glance.interfaces.queue import TaskQueue

LOG = logging.getLogger(__name__)

SAY_EVERY = 300.0  # seconds between two warnings


class UnclaimableReporter:
    """Warns at the first look and then every SAY_EVERY; other calls of look() cost nothing.

    versions  the flow version that this process knows, by task type
    clock     the time in seconds, which never goes back
    """

    def __init__(
        self,
        queue: TaskQueue,
        versions: collections.abc.Mapping[str, int],
        clock: collections.abc.Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._versions = versions
        self._clock = clock
        self._next = clock()

    def look(self) -> None:
        """Log a sentence for each type and version. Raises what the queue raises."""
        if self._clock() < self._next:
            return
        found = self._queue.unclaimable(self._versions)
        self._next = self._clock() + SAY_EVERY
        for type_, version, count in found:
            LOG.warning(
                'Task type %s, flow version %s: %s wait for a process that can run them; %s',
                type_,
                version,
                count,
                self._why(type_),
                extra={'action': 'tasks_unclaimable'},
            )

    def _why(self, type_: str) -> str:
        if type_ in self._versions:
            return (
                f'this one knows versions up to {self._versions[type_]}. '
                'Start the release that accepted them'
            )
        return (
            f'this one knows {", ".join(sorted(self._versions)) or "no type"}. '
            'Install the plug-in that runs them'
        )
