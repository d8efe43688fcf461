"""Green or native threads: each process decides once, and few other modules ask which.

They use the standard threading module, which eventlet makes green in a green process.
Work that would block the hub is done by native threads: see native_threads.py.
"""

import functools
import os
import select
import threading  # patched in a green process
import types
import warnings
from collections.abc import Callable
from typing import Any

import greenlet

GREEN = 'green'
NATIVE = 'native'

_mode: str | None = None


def use(default: str) -> None:
    """Decide for this process. GLANCE_THREADS overrides the default.

    Call this before anything imports socket or threading, even indirectly.
    """
    global _mode
    wanted = os.environ.get('GLANCE_THREADS') or default
    if wanted not in (GREEN, NATIVE):
        raise SystemExit(f'GLANCE_THREADS must be "green" or "native", not "{wanted}".')
    if _mode is not None:
        if _mode != wanted:
            raise RuntimeError(f'This process uses {_mode} threads already.')
        return
    _mode = wanted
    quieten()
    if wanted == GREEN:
        # Names are resolved in native threads; eventlet's own resolver costs 22 MiB.
        os.environ.setdefault('EVENTLET_NO_GREENDNS', 'yes')
        import eventlet

        eventlet.monkey_patch()
    else:
        # futurist imports eventlet, and eventlet copies the threading module. A thread in which
        # this happens can never be joined, so it happens here, in the main thread.
        import futurist  # noqa: F401


def quieten() -> None:
    """Silence the known warnings of libraries that will drop their eventlet support."""
    for message in (
        r'\s*Eventlet is deprecated\.',
        r"Using class 'Green(ThreadPoolExecutor|Future)' .* is deprecated",
        r'eventletutils module is deprecated',
    ):
        warnings.filterwarnings('ignore', message=message)
    warnings.filterwarnings('ignore', message="'cgi' is deprecated", module='webob.compat')


def is_green() -> bool:
    return _mode == GREEN


def original(name: str) -> types.ModuleType:
    """A module of the standard library as it was before eventlet patched it."""
    return _original(name) if is_green() else __import__(name)


@functools.cache
def _original(name: str) -> types.ModuleType:
    from eventlet import patcher

    module: types.ModuleType = patcher.original(name)
    return module


def pool(size: int) -> Any:
    """A futurist executor with `size` threads, green or native as the process is."""
    if is_green():
        return _green_pool(size)
    import futurist

    return futurist.ThreadPoolExecutor(max_workers=size)


def _green_pool(size: int) -> Any:
    import futurist
    from futurist import _green

    class GreenPool(futurist.GreenThreadPoolExecutor):
        """Each worker has an identity of its own.

        futurist starts bare greenlets. All of them look like the main thread, so a
        lock that belongs to one worker would let the others in too.
        """

        def _spin_up(self, work: Any) -> bool:
            if self._pool.running() + self._pool.waiting() >= self._max_workers:
                return False
            self._pool.spawn(_green.GreenWorker(work, self._delayed_work))
            return True

    return GreenPool(max_workers=size)


def wait_for(descriptor: int, writes: bool, seconds: float | None) -> bool:
    """Wait until a descriptor can be read, or written to. False if it cannot be in time.

    In a green thread others run meanwhile. Eventlet's select() would take twice as long.
    """
    if not is_green():
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT if writes else select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))
    from eventlet import hubs

    try:
        hubs.trampoline(
            descriptor, read=not writes, write=writes, timeout=seconds, timeout_exc=TimeoutError
        )
    except TimeoutError:
        return False
    return True


def interrupt(thread: Any, error: BaseException) -> bool:
    """Raise an error in a green thread at the point where it waits. Its finally blocks run.

    thread  what current() returned in that thread

    Returns False for native threads, ended ones and the running one.
    """
    if not is_green() or thread is current():
        return False
    from eventlet import greenthread

    if not thread:  # a greenlet is true only while it runs
        return False
    greenthread.kill(thread, error)
    return True


def current() -> Any:
    """The identity of the running thread, green or native."""
    if _mode == GREEN:
        return greenlet.getcurrent()
    # Not a greenlet: the garbage collector crashes on greenlets of native threads that ended.
    return threading.current_thread()


class StandingThread(threading.Thread):
    """A daemon thread, green in a green process. Whoever stops it waits for so long at most.

    From Python 3.13 on, join() of a green thread raises eventlet's Timeout when the time is
    over. No except clause for an Exception catches it, so a stop would end there.
    """

    def __init__(self, name: str, target: Callable[..., object], *args: Any) -> None:
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


def __getattr__(name: str) -> Any:
    if name == 'NativePool':  # plug-ins of earlier releases know it by this name
        from glance.native_threads import NativePool

        return NativePool
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
