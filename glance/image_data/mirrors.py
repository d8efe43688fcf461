"""The sources that an import names, and when each is asked again after an error."""

import time
import typing

from glance.domain import errors
from glance.domain.fetch_limits import FetchLimits
from glance.domain.import_filter import mask
from glance.image_data.retries import delays

# Statuses of a URL that is of no use any more.
_GONE = (401, 403, 404, 410)


class Mirror:
    """One of the sources that an import names, and what is known of it.

    best      most bytes of a file that it has sent
    failures  tries in a row that brought nothing
    ready_at  time.monotonic() before which it is not asked again
    turn_at   decides which source is next; does not vary by chance
    is_out    whether it is never asked again
    error     the last error
    gone      the last target of its redirects that was gone
    """

    def __init__(self, number: int, url: str) -> None:
        self.number = number
        self.url = url
        self.name = mask(url)
        self.best = 0
        self.failures = 0
        self.ready_at = self.turn_at = 0.0
        self.is_out = False
        self.error: errors.SourceFailed | None = None
        self.gone: int | None = None

    def note(self, error: errors.SourceFailed, limits: FetchLimits, *, is_lasting: bool) -> None:
        """Note an error, and whether and when the source is asked again."""
        self.error = error
        self.failures += 1
        if _is_gone(error):  # the first URL may know another target by now
            is_lasting, self.gone = self.gone == error.redirect, error.redirect
        if is_lasting or not limits.retry_timeout:
            self.is_out = True
        else:
            delay, longest = delays(limits, self.failures, error)
            now = time.monotonic()
            self.ready_at, self.turn_at = now + delay, now + longest

    def renew(self, best: int) -> None:
        """Note that new bytes came: earlier errors do not count any more."""
        self.best = best
        self.failures = 0
        self.gone = None

    @property
    def said(self) -> str:
        """What went wrong last, without the period; it names the source."""
        sentence = str(self.error).rstrip('.')
        return sentence if self.name in sentence else f'{self.name}: {sentence}'


def _is_gone(error: errors.SourceFailed) -> typing.TypeGuard[errors.SourceBadResponse]:
    """Whether the target of a redirect says that its URL is of no use any more."""
    return (
        isinstance(error, errors.SourceBadResponse)
        and error.redirect is not None
        and error.status in _GONE
    )
