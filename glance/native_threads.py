"""Native threads for work that would block the hub of a green process.

Such work is given to a NativePool or a Batcher; a Future waits for its result.

Code in a native thread of a green process must not use anything that eventlet
patched: no logging, no patched lock, socket, os.open or queue. threads.original()
returns the unpatched modules.
"""

import _queue
import collections
import errno
import os
import threading  # patched in a green process
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from glance import threads

_Result = TypeVar('_Result')


class Future(Generic[_Result]):
    """The result of work in a native thread; one green or native thread waits for it.

    concurrent.futures.Future would not do: in a green process its lock is a
    patched one, so setting a result from a native thread would not wake the hub.
    This one wakes it through a pipe. The names of the methods are the same.
    """

    def __init__(self) -> None:
        self._value: Any = None
        self._error: BaseException | None = None
        self._event: Any
        if threads.is_green():
            from eventlet import event

            self._event = event.Event()
            _waker()
        else:
            self._event = threading.Event()

    def set_result(self, value: _Result | None = None) -> None:
        """Set the result. Any native thread may call this."""
        self._value = value
        self._wake()

    def set_exception(self, error: BaseException) -> None:
        """Set an exception, which result() will raise. Any native thread may call this."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if threads.is_green():
            _waker().send(self._event)
        else:
            self._event.set()

    def done(self) -> bool:
        """Whether there is a result or an exception."""
        return bool(self._event.ready() if threads.is_green() else self._event.is_set())

    def wait(self, timeout: float | None = None) -> bool:
        """Whether the result or exception is there, at the latest after timeout seconds."""
        if not threads.is_green():
            return bool(self._event.wait(timeout))
        self._event.wait(timeout)  # returns the value, not whether it is there
        return bool(self._event.ready())

    def result(self, timeout: float | None = None) -> _Result:
        """Wait for the result.

        Raises the exception that was set, or TimeoutError after timeout seconds.
        """
        if not self.wait(timeout):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        value: _Result = self._value
        return value


class _HubWaker:
    """Wakes the hub from native threads: a queue of events, and a pipe that the hub reads."""

    def __init__(self) -> None:
        from eventlet import hubs

        self._os = threads.original('os')
        self._ready: collections.deque[Any] = collections.deque()
        self._woken = False  # the hub will look at the queue
        self._read, self._write = self._os.pipe()
        self._os.set_blocking(self._read, False)
        self._os.set_blocking(self._write, False)
        hub = hubs.get_hub()
        hub.add(hub.READ, self._read, self._deliver, self._deliver, None)

    def send(self, event: Any) -> None:
        """Let the hub send an event. Any native thread may call this."""
        self._ready.append(event)
        if self._woken:
            return
        self._woken = True
        try:
            self._os.write(self._write, b'.')
        except BlockingIOError:
            pass  # the pipe is full, so the hub will wake up anyway

    def _deliver(self, *_descriptor: Any) -> None:
        """Called by the hub when the pipe has bytes; must not wait."""
        try:
            self._os.read(self._read, 65536)
        except BlockingIOError:
            return
        self._woken = False  # before the queue is looked at, so that no event is left in it
        while self._ready:
            self._ready.popleft().send()


_the_waker: _HubWaker | None = None


def _waker() -> _HubWaker:
    """The waker of this process, made in the thread of the hub. A forked child makes its own."""
    global _the_waker
    if _the_waker is None:
        _the_waker = _HubWaker()
    return _the_waker


def _forget_waker() -> None:
    global _the_waker
    _the_waker = None


os.register_at_fork(after_in_child=_forget_waker)


class NativePool:
    """At most `size` native threads that stay; each is started when it is first needed.

    niceness  added to the priority value of the threads; a higher one gives way to others
    tick      seconds between two looks of a caller that waits for long work of the pool
    """

    def __init__(self, size: int, name: str, *, niceness: int = 0, tick: float = 2.0) -> None:
        self.tick = tick
        self._size = size
        self._name = name
        self._niceness = niceness
        # The C implementation of the queue uses no lock that eventlet could patch.
        self._work: _queue.SimpleQueue[Any] = _queue.SimpleQueue()
        self._threading = threads.original('threading')
        self._count_lock = self._threading.Lock()
        self._threads = self._waiting = 0

    def submit(self, function: Callable[..., _Result], *args: Any) -> Future[_Result]:
        """Let a native thread call function(*args). Returns the Future of its result."""
        future: Future[_Result] = Future()
        with self._count_lock:
            if self._waiting >= self._threads < self._size:
                start_native(self._serve, f'{self._name}-{self._threads + 1}')
                self._threads += 1
            self._waiting += 1
        self._work.put((future, function, args))
        return future

    def stop(self) -> None:
        """End the threads after they have done all submitted work."""
        with self._count_lock:
            for _ in range(self._threads):
                self._work.put(None)
            self._threads = 0

    def _serve(self) -> None:
        if self._niceness:
            os.setpriority(os.PRIO_PROCESS, self._threading.get_native_id(), self._niceness)
        while (item := self._work.get()) is not None:
            future, function, args = item
            try:
                value = function(*args)
            except BaseException as error:  # result() raises it where the result is awaited
                future.set_exception(error)
            else:
                future.set_result(value)
            finally:
                with self._count_lock:
                    self._waiting -= 1
            item = future = function = args = value = None  # release the objects


class Batcher:
    """One native thread that serves all waiting requests in one call.

    serve  called in that thread with a list of (item, Future); it must set a
           result or an exception for each Future
    """

    def __init__(self, serve: Callable[[list[tuple[Any, Future[Any]]]], None], name: str) -> None:
        self._serve = serve
        self._work: _queue.SimpleQueue[Any] = _queue.SimpleQueue()
        start_native(self._run, name)

    def ask(self, item: Any, timeout: float | None = None) -> Any:
        """Hand over one item and wait for its result. Raises what Future.result() raises."""
        future: Future[Any] = Future()
        self._work.put((item, future))
        return future.result(timeout)

    def stop(self) -> Future[None]:
        """End the thread after all earlier items. Returns a Future that is done then."""
        future: Future[None] = Future()
        self._work.put((None, future))
        return future

    def _run(self) -> None:
        while True:
            batch = [self._work.get()]
            while True:
                try:
                    batch.append(self._work.get_nowait())
                except _queue.Empty:
                    break
            last = next((future for item, future in batch if item is None), None)
            asked = [(item, future) for item, future in batch if item is not None]
            if asked:
                try:
                    self._serve(asked)
                except BaseException as error:  # no caller may wait for ever
                    for _item, future in asked:
                        future.set_exception(error)
            if last is not None:
                last.set_result()
                return


def start_native(function: Callable[[], Any], name: str) -> threading.Thread:
    """Start a native daemon thread. Raises OSError if the host has no room for one now."""
    kind: type[threading.Thread] = threads.original('threading').Thread
    thread = kind(target=function, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(errno.ENOMEM, str(error)) from error
    return thread
