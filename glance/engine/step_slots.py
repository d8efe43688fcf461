"""Slots for steps at work: how many there are, and the line of those that wait for one.

A step that waits for bytes of its source leaves its slot, and is at work again as soon
as bytes arrive, without standing in line: it has begun, and only what begins can wait.
So for a moment more steps may be at work than there are slots.
"""

import collections
import math
import threading
from collections.abc import Callable
from typing import Any

LOOK = 0.5  # seconds between two looks of a step in the line whether its run was stopped


class StepSlots:
    """The threads at work inside steps of this process.

    most  how many there may be before a step may begin; None: as many as like
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = math.inf if most is None else most
        self._at_work: set[Any] = set()
        self._waiting: set[Any] = set()
        self._line: collections.deque[tuple[Any, threading.Event]] = collections.deque()
        self._lock = threading.Lock()

    @property
    def is_full(self) -> bool:
        """Whether no further step may begin now."""
        return len(self._at_work) >= self._most

    def are_taken_by(self, threads: int) -> bool:
        """Whether so many threads take all slots."""
        return threads >= self._most

    def are_waiting(self, threads: set[Any]) -> bool:
        """Whether all these threads are inside steps, and wait for their source."""
        return bool(threads) and threads <= self._waiting

    def at_work(self, threads: set[Any]) -> int:
        """How many of these threads are at work."""
        return len(threads & self._at_work)

    def begin(self, thread: Any, on_wait: Callable[[], object]) -> None:
        """Give the running thread a slot, when it has its turn.

        on_wait  called now and then in the line, and when it ends; an exception from it
                 keeps the thread from beginning
        """
        if self._most == math.inf:
            self._at_work.add(thread)
            return
        with self._lock:
            if not self._line and not self.is_full:
                self._at_work.add(thread)
                return
            turn = threading.Event()
            self._line.append((thread, turn))
        try:
            self._let_in()  # a slot may have become free before this one stood in the line
            while not turn.wait(LOOK):
                on_wait()
            on_wait()  # its run may have been stopped since the last look
        except BaseException:
            with self._lock:
                if not turn.is_set():
                    self._line.remove((thread, turn))
            self.end(thread)
            raise

    def end(self, thread: Any) -> None:
        """Take the slot of a thread back."""
        self._at_work.discard(thread)
        if self._line:
            self._let_in()

    def away(self, thread: Any) -> 'Away':
        """The context in which a thread that is at work waits for its source."""
        return Away(self, thread)

    def _let_in(self) -> None:
        with self._lock:
            while self._line and not self.is_full:
                thread, turn = self._line.popleft()
                self._at_work.add(thread)
                turn.set()


class Away:
    """Its thread has no slot inside. It is entered for each piece of a file, so it is short."""

    def __init__(self, slots: StepSlots, thread: Any) -> None:
        self._slots = slots
        self._thread = thread

    def __enter__(self) -> None:
        self._slots._waiting.add(self._thread)
        self._slots.end(self._thread)

    def __exit__(self, *_exception: object) -> None:
        self._slots._waiting.discard(self._thread)
        self._slots._at_work.add(self._thread)
