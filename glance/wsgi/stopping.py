"""How requests that wait hear that the server stops, before it waits for them to end."""

import collections.abc
import signal
import threading
import types
import typing


def on_sigterm(stop: collections.abc.Callable[[], None]) -> None:
    """Call stop() at SIGTERM, before the server's own handler, if the server is one in Python.

    Does nothing outside the main thread, where no handler can be set.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    servers: typing.Any = signal.getsignal(signal.SIGTERM)
    if not callable(servers):
        return

    def handle(number: int, frame: types.FrameType | None) -> None:
        stop()
        servers(number, frame)

    signal.signal(signal.SIGTERM, handle)
