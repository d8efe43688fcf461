"""Ends the waits of one thread from another one, in a green or in a native process.

A green thread is interrupted wherever it waits. A native thread is interrupted in the waits
that say how another thread can end them: a wait for a socket, for instance, ends when
that thread shuts the socket down. So code that a native thread may run uses, for its waits,

    BlockingCall(end)       around a call that end() ends
    socket_call(connected)  around a call that waits for this socket
    wait(future, seconds)   instead of future.wait(seconds)
    sleep(seconds)          instead of time.sleep(seconds)

In a green process they are what they replace.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from glance import native_threads, threads

LOOK = 0.25  # seconds between two looks of a wait that nobody can end


class _Seat:
    """A native thread that may be interrupted.

    error  to be raised in it when its wait ends, or when its next one begins
    end    ends the wait in which it is
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.end: Callable[[], object] | None = None

    def raise_error(self) -> None:
        error, self.error = self.error, None
        if error is not None:
            raise error


_seats: dict[Any, _Seat] = {}
_lock = threading.Lock()


def allowed() -> contextlib.AbstractContextManager[None]:
    """A context in which this thread may be interrupted.

    An error that was not raised before its end is forgotten.
    """
    return contextlib.nullcontext() if threads.is_green() else _seated()


@contextlib.contextmanager
def _seated() -> Iterator[None]:
    thread = threads.current()
    outer = _seats.get(thread)
    _seats[thread] = _Seat()
    try:
        yield
    finally:
        with _lock:
            del _seats[thread]
            if outer is not None:
                _seats[thread] = outer


def interrupt(thread: Any, error: BaseException) -> bool:
    """Raise an error in a thread at the point where it waits. Its finally blocks run.

    thread  what threads.current() returned in that thread

    Returns False if that thread does not wait: a native one then gets the error when it
    next waits.
    """
    if threads.is_green():
        return threads.interrupt(thread, error)
    with _lock:
        seat = _seats.get(thread)
        if seat is None or thread is threads.current():
            return False
        seat.error = error
        if seat.end is None:
            return False
        seat.end()
        return True


def forget() -> None:
    """Do not raise the error that waits for this thread: it knows already."""
    seat = _seats.get(threads.current())
    if seat is not None:
        seat.error = None


class BlockingCall:
    """A context in which this thread waits. interrupt() calls end(), which ends the wait.

    end  must not wait, and must end a wait that begins just after it was called
    """

    def __init__(self, end: Callable[[], object]) -> None:
        self._end = end
        self._seat: _Seat | None = None

    def __enter__(self) -> None:
        if threads.is_green():
            return
        seat = self._seat = _seats.get(threads.current())
        if seat is not None:
            with _lock:
                seat.raise_error()
                self._outer, seat.end = seat.end, self._end

    def __exit__(self, *_exception: object) -> None:
        seat = self._seat
        if seat is not None:
            with _lock:
                seat.end = self._outer
                seat.raise_error()


def socket_call(connected: socket.socket) -> BlockingCall:
    """A context in which this thread waits for a socket; interrupt() shuts it down."""
    return BlockingCall(lambda: _shut_down(connected))


def _shut_down(connected: socket.socket) -> None:
    """End the waits of other threads for this socket."""
    with contextlib.suppress(OSError):  # it is not connected any more
        # Not the method of an SSLSocket: that takes the encryption from under a thread that reads.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


def wait(future: native_threads.Future[Any], seconds: float) -> bool:
    """Whether the result of a Future is there, at the latest after so many seconds."""
    if threads.is_green():
        return future.wait(seconds)
    until = time.monotonic() + seconds
    while True:
        with BlockingCall(_nothing):
            if future.wait(max(0.0, min(LOOK, until - time.monotonic()))):
                return True
        if time.monotonic() >= until:
            return False


def sleep(seconds: float) -> None:
    """Wait so many seconds."""
    if threads.is_green():
        time.sleep(seconds)
        return
    over = threading.Event()
    with BlockingCall(over.set):
        over.wait(seconds)


def _nothing() -> None:
    """Ends a wait that looks by itself, every LOOK seconds, whether it was interrupted."""
