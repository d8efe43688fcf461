"""When a source is asked again after an error, and what is told of it."""

import dataclasses
import random
from typing import Protocol

from glance.domain import errors
from glance.domain.fetch_limits import FetchLimits


@dataclasses.dataclass(frozen=True)
class Retry:
    """A try that failed, and what comes next.

    number  of the retries of this fetch, this one included
    reason  what went wrong, in one sentence
    source  the masked URL that is asked next
    wait    seconds until then
    """

    number: int
    reason: str
    source: str
    wait: float


class Listener(Protocol):
    """What is told of a fetch. An exception from a method ends the fetch."""

    def on_wait(self) -> None:
        """The source has been silent for a while; called every few seconds."""

    def on_pause(self) -> None:
        """The next try is waited for; called about every half second."""

    def on_retry(self, retry: Retry) -> None:
        """A try failed, and there will be another."""

    def on_begin_again(self, source: str, received: int) -> None:
        """So many bytes are of no use, because the source does not go on behind them."""


def delays(limits: FetchLimits, failures: int, error: errors.SourceFailed) -> tuple[float, float]:
    """Seconds until a source is asked again that failed so many times in a row.

    The time doubles with each failure. A source may ask for more, but not for more than
    the longest delay.

    Returns a time that varies by chance, so that the imports that one error has ended do
    not all ask again at the same moment, and the longest that it may be.
    """
    most = limits.retry_delay_max
    longest = min(most, limits.retry_delay * 2.0 ** min(failures - 1, 60))
    least = min(most, getattr(error, 'retry_after', None) or 0)
    return max(longest * random.uniform(0.5, 1), least), max(longest, least)


def in_words(seconds: float) -> str:
    """For instance "12 seconds" or "3 minutes"."""
    number, unit = seconds, 'second'
    if number >= 100:
        number, unit = number / 60, 'minute'
        if number >= 100:
            number, unit = number / 60, 'hour'
    rounded = max(1, round(number))
    return f'{rounded} {unit}{"" if rounded == 1 else "s"}'
