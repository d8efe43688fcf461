"""What the log says of an outage of the broker: that it began, that it lasts, that it is over."""

import logging
import threading
import time

LOG = logging.getLogger(__name__)

AWAY_AFTER = 8.0  # seconds after which an outage is one to tell of again
REMIND_EVERY = 60.0  # seconds between two log lines after that


class OutageLog:
    """One log line when the broker stops to answer, and one when it answers again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._good_at = time.monotonic()  # when the broker was last known to answer
        self._told_at: float | None = None  # when this outage was first told of
        self._reminded_at = float('-inf')

    def trouble(self, reason: str) -> None:
        """The broker cannot be reached, or does not answer."""
        now = time.monotonic()
        with self._lock:
            away = now - self._good_at
            is_new = self._told_at is None
            if is_new:
                self._told_at = now
            reminds = not is_new and away > AWAY_AFTER and now - self._reminded_at > REMIND_EVERY
            if reminds:
                self._reminded_at = now
        if is_new:
            LOG.warning(
                'The message broker does not answer: %s; trying again',
                reason,
                extra={'action': 'broker_away'},
            )
        elif reminds:
            LOG.warning(
                'The message broker has been away for %d seconds: %s',
                away,
                reason,
                extra={'action': 'broker_away'},
            )

    def heard(self, sent: float) -> None:
        """A message of this process to itself, sent at this time.monotonic(), came back."""
        with self._lock:
            is_over = self._told_at is not None and sent > self._told_at
            away = time.monotonic() - self._good_at
            if is_over:
                self._told_at = None
                self._reminded_at = float('-inf')
            if self._told_at is None:  # what comes late does not make an outage shorter
                self._good_at = max(self._good_at, sent)
        if is_over:
            LOG.info(
                'The message broker answers again, after %d seconds',
                away,
                extra={'action': 'broker_back'},
            )
