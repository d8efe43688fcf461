"""What signals mean to every command of the service.

SIGTERM, SIGINT  Stop: run nothing new, finish or hand back what runs. A second one kills.
SIGHUP           Read the configuration again. If the process runs in the foreground of a
                 terminal, the terminal was closed: then the process stops.
SIGALRM          The process did not stop within graceful_shutdown_timeout: it is killed.

glance-api hears signals through oslo.service: see launchers. glance-conductor
uses ProcessSignals, because it can run in native threads too, where the hub of
eventlet must not run.
"""

import enum
import os
import signal
import sys
import types

from glance import threads

EXIT_TIMEOUT = 10  # seconds that the interpreter gets to end, after all is stopped


class Request(enum.Enum):
    """What a signal asks a process to do."""

    STOP = enum.auto()
    RELOAD = enum.auto()


REQUESTS = {
    signal.SIGTERM: Request.STOP,
    signal.SIGINT: Request.STOP,
    signal.SIGHUP: Request.RELOAD,
}


def request_of(number: int) -> Request:
    """What this signal asks for, here and now."""
    request = REQUESTS[signal.Signals(number)]
    return Request.STOP if request is Request.RELOAD and in_a_terminal() else request


class ProcessSignals:
    """The signals of this process, for a main thread that waits for them.

    Until kill_on_next() is called, no signal of REQUESTS ends the process.
    """

    def __init__(self) -> None:
        # The interpreter writes the number of each signal to this pipe, whatever thread runs.
        self._read, write = os.pipe()
        os.set_blocking(write, False)
        os.set_blocking(self._read, not threads.is_green())  # with green threads, the hub waits
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in REQUESTS:
            signal.signal(number, _only_wake_up)

    def next(self) -> Request:
        """Wait for the next signal that asks for something; returns what that is."""
        # A library may handle other signals, for instance to write its state to the log. Their
        # numbers are in the pipe as well.
        while (number := os.read(self._read, 1)[0]) not in REQUESTS:
            pass
        return request_of(number)

    def kill_on_next(self, timeout: int) -> None:
        """From now on, another signal ends the process at once.

        timeout  seconds after which the process is killed; 0 is no limit
        """
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGALRM, _too_late)
        signal.alarm(timeout)

    def stopped(self) -> None:
        """All is handed back and closed: only the end of the interpreter is left."""
        signal.alarm(EXIT_TIMEOUT)


def _only_wake_up(_number: int, _frame: types.FrameType | None) -> None:
    """Do nothing: the number of the signal is in the pipe."""


def _too_late(_number: int, _frame: types.FrameType | None) -> None:
    message = b'It did not stop within graceful_shutdown_timeout, and is ended.\n'
    # No logging here: the signal may have interrupted a thread that holds the lock of a log.
    threads.original('os').write(2, message)
    os._exit(1)


def in_a_terminal() -> bool:
    """Whether this process runs in the foreground of a terminal."""
    try:
        return os.getpgrp() == os.tcgetpgrp(sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):  # it may have been closed, or not be there
        return False
