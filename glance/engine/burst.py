"""Slows down the start of runs while many tasks are submitted at once."""

import collections
import time

# A burst is at least BURST_SIZE submissions within BURST_WINDOW. During a burst,
# new runs start slowly so that requests stay fast.
BURST_SIZE = 10  # submissions
BURST_WINDOW = 0.1  # seconds
CLAIM_BATCH_IN_BURST = 2  # tasks that are claimed at a time during a burst
BURST_LIMIT = 5.0  # seconds after which a burst no longer slows down the runs


class BurstThrottle:
    """Recognizes bursts by the times of the latest submissions."""

    def __init__(self, limit: float = BURST_LIMIT) -> None:
        self._limit = limit
        self._submitted_at: collections.deque[float] = collections.deque(maxlen=BURST_SIZE)
        self._burst_since: float | None = None

    def note_submission(self) -> None:
        """Remember that a task was submitted just now."""
        self._submitted_at.append(time.monotonic())

    def claim_limit(self, usual: int) -> int:
        """How many tasks may be claimed now: as many as usual, or a few during a burst.

        Waits for BURST_WINDOW if a burst seems to be under way.
        """
        if self.is_burst():
            time.sleep(BURST_WINDOW)
            if self.is_burst():
                return CLAIM_BATCH_IN_BURST
        return usual

    def is_burst(self) -> bool:
        """Whether a burst is under way that has not yet reached its time limit."""
        now = time.monotonic()
        if len(self._submitted_at) < BURST_SIZE or now - self._submitted_at[0] >= BURST_WINDOW:
            self._burst_since = None
            return False
        self._burst_since = self._burst_since or now
        return now - self._burst_since < self._limit
