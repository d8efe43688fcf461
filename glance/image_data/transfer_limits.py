"""The limits for time, speed and size that end a fetch from a slow or hostile source.

The speed is measured only while the source is waited for, because a slow disk
of this host is not the fault of the source.
"""

import math
import time

from glance.domain import errors

# A source may send a response head of this many bytes ...
OVERHEAD = 2**20
# ... and this many extra bytes for each byte of the file: sizes of chunks may be several times
# as long as the chunks. A response with more than that would never end.
OVERHEAD_PER_BYTE = 8


class TransferLimits:
    """The limits of one connection. Its methods raise SourceUnreachable when one is exceeded.

    name          how messages call the source
    read_timeout  longest silence in seconds; the reader of the socket checks it
    until         time.monotonic() at which the whole fetch must be over
    total         seconds from the begin of the fetch to `until`, for the message
    minimum_rate  bytes per second that the source must send while it is waited for
    window        seconds of waiting over which the speed is measured; more if the
                  read timeout is longer
    """

    def __init__(
        self,
        name: str,
        read_timeout: float,
        until: float,
        total: float,
        minimum_rate: int,
        window: float,
    ) -> None:
        self.read_timeout = read_timeout
        self._name = name
        self._until = until
        self._total = total
        self._minimum_rate = minimum_rate
        self._window = max(window, read_timeout)
        self._waited_in_window = 0.0  # seconds
        self._received_in_window = 0  # bytes
        self._received = 0  # bytes
        self._of_file = 0  # bytes of _received that belong to the file

    @property
    def remaining(self) -> float:
        """Seconds until the fetch must be over."""
        return max(0.0, self._until - time.monotonic())

    def raise_if_exceeded(self) -> None:
        """Call this from time to time while the source is silent."""
        if time.monotonic() > self._until:
            raise errors.FetchTooLong(self._name, self._total)

    def received(self, count: int, waited: float) -> None:
        """Count received bytes, and the seconds for which they were waited for."""
        self.raise_if_exceeded()
        if self._received:  # only the read timeout applies until the first byte
            self._waited_in_window += waited
            self._received_in_window += count
        self._received += count
        if self._received > OVERHEAD + self._of_file * (1 + OVERHEAD_PER_BYTE):
            raise errors.SourceUnreachable(
                f'{self._name} sent much data, but hardly any bytes of the file.', lasting=True
            )
        if self._waited_in_window >= self._window:
            if self._received_in_window < self._minimum_rate * self._waited_in_window:
                raise errors.SourceUnreachable(
                    f'{self._name} was slower than minimum_rate allows '
                    f'({self._minimum_rate} bytes per second).',
                    lasting=True,
                )
            self._waited_in_window, self._received_in_window = 0.0, 0

    def payload(self, count: int) -> None:
        """Count those of the received bytes that belong to the file."""
        self._of_file += count


def end(total_timeout: float) -> float:
    """The time.monotonic() at which a fetch that begins now must be over; 0 seconds: never."""
    return time.monotonic() + total_timeout if total_timeout else math.inf
