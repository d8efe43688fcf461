"""A thread that runs as long as its process."""

import collections.abc
import threading
import typing


class StandingThread(threading.Thread):
    """A daemon thread, green in a green process. Whoever stops it waits for so long at most.

    From Python 3.13 on, join() of a green thread raises eventlet's Timeout when the time is
    over. No except clause for an Exception catches it, so a stop would end there.
    """

    def __init__(
        self, name: str, target: collections.abc.Callable[..., object], *args: typing.Any
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._function = target
        self._arguments = args
        self._ended = threading.Event()

    def run(self) -> None:
        try:
            self._function(*self._arguments)
        finally:
            self._ended.set()

    def join(self, timeout: float | None = None) -> None:
        self._ended.wait(timeout)
