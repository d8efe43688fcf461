"""Green or native threads: one decision per process, asked only here.

Everything else uses the standard threading module, which is green in a green
process; what must not run in the hub of such a process goes to native threads
by NativePool or Batcher and is waited for by a Reply.

What runs in a native thread of a green process must not touch anything that
was patched: no logging, no patched lock, socket, os.open or queue. original()
gives the modules as they were.
"""

import _queue
import collections
import os
import threading  # patched in a green process
import warnings

import greenlet

GREEN = 'green'
NATIVE = 'native'

_mode = None


def use(default):
    """Decide for this process; GLANCE_THREADS overrides the default.

    To be called before anything imports socket, threading or what uses them.
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
        # It imports eventlet, which makes a copy of the threading module; a thread in which
        # that happens can never be joined. So it happens here, in the main thread.
        import futurist  # noqa: F401


def quieten():
    """Silence what is known: the libraries announce the end of their eventlet support."""
    for message in (
        r'\s*Eventlet is deprecated\.',
        r"Using class 'Green(ThreadPoolExecutor|Future)' .* is deprecated",
        r'eventletutils module is deprecated',
    ):
        warnings.filterwarnings('ignore', message=message)
    warnings.filterwarnings('ignore', message="'cgi' is deprecated", module='webob.compat')


def is_green():
    return _mode == GREEN


def original(name):
    """A module of the standard library as it was before it was patched."""
    if is_green():
        from eventlet import patcher

        return patcher.original(name)
    return __import__(name)


def pool(size):
    """futurist's pool of so many threads of this process's kind."""
    if is_green():
        return _green_pool(size)
    import futurist

    return futurist.ThreadPoolExecutor(max_workers=size)


def _green_pool(size):
    import futurist
    from futurist import _green

    class GreenPool(futurist.GreenThreadPoolExecutor):
        """A pool whose workers have an identity of their own.

        The stock one starts them as bare greenlets, which all pass for the
        main thread, so locks that know their owner let them in together.
        """

        def _spin_up(self, work):
            if self._pool.running() + self._pool.waiting() >= self._max_workers:
                return False
            self._pool.spawn(_green.GreenWorker(work, self._delayed_work))
            return True

    return GreenPool(max_workers=size)


class Reply:
    """What a native thread will answer; waited for by one green or native thread."""

    def __init__(self):
        self._value = self._error = None
        if is_green():
            from eventlet import event

            self._event = event.Event()
            _hub()
        else:
            self._event = threading.Event()

    def give(self, value=None):
        """Answer, from any native thread."""
        self._value = value
        self._ring()

    def fail(self, error):
        """Answer with an exception, to be raised where the reply is waited for."""
        self._error = error
        self._ring()

    def _ring(self):
        if is_green():
            _hub().send(self._event)
        else:
            self._event.set()

    @property
    def given(self):
        return self._event.ready() if is_green() else self._event.is_set()

    def wait(self, timeout=None):
        """The answer. Raises TimeoutError after so many seconds, or what was given to fail()."""
        if is_green():
            if timeout is None:
                self._event.wait()
            else:
                self._event.wait(timeout)
                if not self._event.ready():
                    raise TimeoutError
        elif not self._event.wait(timeout):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._value


class _Hub:
    """Wakes the hub from native threads: a queue of events, and a pipe it listens on."""

    def __init__(self):
        import eventlet

        self._os = original('os')
        self._ready = collections.deque()
        self._read, self._write = self._os.pipe()
        self._os.set_blocking(self._read, False)
        self._os.set_blocking(self._write, False)
        self.process = self._os.getpid()
        eventlet.spawn_n(self._deliver)

    def send(self, event):
        self._ready.append(event)
        try:
            self._os.write(self._write, b'.')
        except BlockingIOError:
            pass  # the pipe is full of wake-ups already

    def _deliver(self):
        from eventlet import hubs

        while True:
            hubs.trampoline(self._read, read=True)
            try:
                self._os.read(self._read, 65536)
            except BlockingIOError:
                continue
            while self._ready:
                self._ready.popleft().send()


_the_hub = None


def _hub():
    """The hub's ear in this process; a forked child needs its own.

    Made by the first Reply, so always in the thread that runs the hub.
    """
    global _the_hub
    if _the_hub is None or _the_hub.process != os.getpid():
        _the_hub = _Hub()
    return _the_hub


class NativePool:
    """So many standing native threads at most, started as they are needed."""

    def __init__(self, size, name, *, niceness=0):
        self._size = size
        self._name = name
        self._niceness = niceness
        self._work = _queue.SimpleQueue()  # the C one: it knows nothing of green threads
        self._threading = original('threading')
        self._count_lock = self._threading.Lock()
        self._threads = 0
        self._waiting = 0

    def submit(self, function, *args):
        """Have a native thread call function(*args); returns a Reply."""
        reply = Reply()
        with self._count_lock:
            self._waiting += 1
            if self._waiting > self._threads < self._size:
                self._threads += 1
                start_native(self._serve, f'{self._name}-{self._threads}')
        self._work.put((reply, function, args))
        return reply

    def stop(self):
        """End the threads once what was submitted is done."""
        with self._count_lock:
            for _ in range(self._threads):
                self._work.put(None)
            self._threads = 0

    def _serve(self):
        if self._niceness:
            os.setpriority(os.PRIO_PROCESS, self._threading.get_native_id(), self._niceness)
        while (item := self._work.get()) is not None:
            reply, function, args = item
            try:
                value = function(*args)
            except BaseException as error:  # it belongs to whoever waits
                reply.fail(error)
            else:
                reply.give(value)
            finally:
                with self._count_lock:
                    self._waiting -= 1
            item = reply = function = args = value = None  # do not keep the last ones alive


class Batcher:
    """One standing native thread that is handed all that waits, at once.

    serve  called in that thread with a list of (item, Reply); answers each
    """

    def __init__(self, serve, name):
        self._serve = serve
        self._work = _queue.SimpleQueue()
        start_native(self._run, name)

    def ask(self, item):
        """Hand over one item and wait for its answer."""
        reply = Reply()
        self._work.put((item, reply))
        return reply.wait()

    def stop(self):
        """End the thread after what was asked before; returns a Reply to wait for."""
        reply = Reply()
        self._work.put((None, reply))
        return reply

    def _run(self):
        while True:
            batch = [self._work.get()]
            while True:
                try:
                    batch.append(self._work.get_nowait())
                except _queue.Empty:
                    break
            last = next((reply for item, reply in batch if item is None), None)
            asked = [(item, reply) for item, reply in batch if item is not None]
            if asked:
                try:
                    self._serve(asked)
                except BaseException as error:  # nobody may be left waiting
                    for _item, reply in asked:
                        reply.fail(error)
            if last is not None:
                last.give()
                return


def start_native(function, name):
    """Start a native daemon thread."""
    thread = original('threading').Thread(target=function, name=name, daemon=True)
    thread.start()
    return thread


def interrupt(thread, error):
    """Raise an error in a green thread, where it waits; its finally blocks run.

    thread  as current() gave it

    Returns False where that cannot be done: a native thread, one that has ended,
    the running one.
    """
    if not is_green() or thread is current():
        return False
    from eventlet import greenthread

    if not thread:  # a greenlet is true while it is under way
        return False
    greenthread.kill(thread, error)
    return True


def current():
    """The identity of the running thread, green or native."""
    if is_green():
        return greenlet.getcurrent()
    # No greenlet: the collector crashes over those that native threads have left.
    return threading.current_thread()
