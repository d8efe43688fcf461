"""How long work on the database may take: one time for all that it consists of.

The wait for a connection, connecting, each statement and each repetition take from
the same time. Code that calls within() decides; drivers ask left(). Outside of any
block there is no limit: migrations may take as long as they need.
"""

import collections.abc
import contextlib
import contextvars
import time

# Requests are to be answered within 10 seconds, whatever the database does.
TRANSACTION_TIME = 8.5
# The limits of a server are shorter. A server does not notice that its client has given up, and
# would keep the locks of a transaction that waits. Seconds.
LOCK_TIME = 5
STATEMENT_TIME = 8
# How long a server waits for the next statement of a transaction. Then it closes the connection,
# so that a process that was stopped amid a transaction does not keep its locks. Seconds.
IDLE_TIME = 10

_end: contextvars.ContextVar[float | None] = contextvars.ContextVar('end', default=None)


@contextlib.contextmanager
def within(seconds: float | None) -> collections.abc.Iterator[None]:
    """Give the block these seconds, or what the block around it has left if that is less.

    None changes nothing.
    """
    if seconds is None:
        yield
        return
    end, outer = time.monotonic() + seconds, _end.get()
    token = _end.set(end if outer is None else min(end, outer))
    try:
        yield
    finally:
        _end.reset(token)


def left(most: float | None = None) -> float | None:
    """The seconds that are left, at least 0, and no more than `most`. None: there is no limit."""
    end = _end.get()
    if end is None:
        return most
    seconds = max(0.0, end - time.monotonic())
    return seconds if most is None else min(seconds, most)
