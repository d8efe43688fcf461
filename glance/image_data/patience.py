"""How long a source is borne with, and for what.

Only the time counts in which it is waited for: a slow disk of ours is not its fault.
"""

import math
import time

from glance.domain import errors

WINDOW = 60.0  # seconds of waiting over which the rate is measured, at least
# Bytes that a source may send around the file: a head, and the sizes of chunks, which may
# be several times what is in them. More is an answer without an end.
OVERHEAD = 2**20
OVERHEAD_PER_BYTE = 8


class Patience:
    """With one connection. Each method raises SourceUnreachable when it ends.

    name          the source, as sentences call it
    read_timeout  seconds of silence, which the one who reads measures
    until         time.monotonic() at which the whole fetch must be over
    total         the same in seconds from its begin, for the sentence
    minimum_rate  bytes per second that it must send while it is waited for
    """

    def __init__(self, name, read_timeout, until, total, minimum_rate):
        self.read_timeout = read_timeout
        self._name = name
        self._until = until
        self._total = total
        self._rate = minimum_rate
        self._window = max(WINDOW, read_timeout)
        self._waited = 0.0  # seconds in this window
        self._came = 0  # bytes in this window
        self._sent = 0  # bytes in all
        self._useful = 0  # bytes of these that belong to the file

    @property
    def remaining(self):
        """Seconds until the fetch must be over."""
        return max(0.0, self._until - time.monotonic())

    def check(self):
        """To be called now and then while nothing comes."""
        if time.monotonic() > self._until:
            raise errors.SourceUnreachable(
                f'{self._name} took longer than total_timeout allows ({self._total:g} seconds).'
            )

    def heard(self, count, waited):
        """So many bytes have come, after so many seconds in which they were waited for."""
        self.check()
        if self._sent:  # until the first byte, it is the read timeout that counts
            self._waited += waited
            self._came += count
        self._sent += count
        if self._sent > OVERHEAD + self._useful * (1 + OVERHEAD_PER_BYTE):
            raise errors.SourceUnreachable(
                f'{self._name} sent much, but next to nothing of a file.'
            )
        if self._waited >= self._window:
            if self._came < self._rate * self._waited:
                raise errors.SourceUnreachable(
                    f'{self._name} was slower than minimum_rate allows '
                    f'({self._rate} bytes per second).'
                )
            self._waited, self._came = 0.0, 0

    def useful(self, count):
        """So many bytes of the file were among what has come."""
        self._useful += count


def end(total_timeout):
    """The time.monotonic() at which a fetch must be over that begins now; 0 seconds: never."""
    return time.monotonic() + total_timeout if total_timeout else math.inf
