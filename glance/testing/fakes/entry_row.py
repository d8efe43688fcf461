"""One row of a fake queue."""

import dataclasses

from glance.domain.entry import Entry
from glance.domain.lease import Progress


@dataclasses.dataclass
class Row:
    """An entry, and the state of its claims."""

    entry: Entry
    posted: int
    number: int = 0
    owner: str | None = None
    expires_at: float | None = None
    claimed_at: float = 0
    attempts: int = 0
    deaths: int = 0
    last_death: str | None = None
    counted: bool = False  # the end of the lease has been counted
    best_progress: Progress = Progress()
    begun: Progress = Progress()
    outcome: str | None = None
    message: str = ''
    cancel_requested: bool = False

    def is_free(self, now: float) -> bool:
        return self.expires_at is None or self.expires_at < now

    def count_death(self) -> bool:
        """Count the death of the holder, if the entry has one and it was not counted yet."""
        if self.owner is None or self.counted:
            return False
        self.counted = True
        if self.best_progress > self.begun:
            self.attempts = self.deaths = 0
        else:
            self.deaths += 1
        return True

    def release(self, best_progress: Progress, *, stalled: bool, died: bool) -> None:
        """The run of this claim gives the entry back."""
        self.best_progress = best_progress
        if best_progress > self.begun:
            self.attempts = self.deaths = 0
        elif stalled and not self.counted:
            self.attempts += 1
        if stalled or died:
            self.expires_at, self.counted = 0, self.counted or stalled
        else:
            self.owner = self.expires_at = None
