"""Says which tasks wait in the queue that this process will never claim."""

import logging
import time

LOG = logging.getLogger(__name__)

SAY_EVERY = 300.0  # seconds


class Unclaimable:
    """look() as often as you like: it asks and speaks at the first and then every SAY_EVERY."""

    def __init__(self, queue, versions):
        self._queue = queue
        self._versions = versions
        self._next = time.monotonic()

    def look(self):
        """Log a sentence for each kind of entry; raises what the queue raises."""
        if time.monotonic() < self._next:
            return
        found = self._queue.unclaimable(self._versions)
        self._next = time.monotonic() + SAY_EVERY
        for type_, version, count in found:
            LOG.warning(
                'Task type %s, flow version %s: %s wait for a process that can run them; %s',
                type_,
                version,
                count,
                self._why(type_),
                extra={'action': 'tasks_unclaimable'},
            )

    def _why(self, type_):
        if type_ in self._versions:
            return (
                f'this one knows versions up to {self._versions[type_]}. '
                'Start the release that accepted them'
            )
        return (
            f'this one knows {", ".join(sorted(self._versions)) or "no type"}. '
            'Install the plug-in that runs them'
        )
