"""Resolves host names in native threads, so that a slow name server does not block the hub.

Some names are answered for by servers that are silent, and a look-up cannot be stopped.
So others do not wait for its end: who waits too long for a thread gets a further one.
"""

import _queue
import time
from collections.abc import Callable, Sequence

from glance import interrupts, native_threads, threads
from glance.domain import errors, own_lack
from glance.interfaces.resolver import Resolver

USUAL_THREADS = 4
MOST_THREADS = 256  # native threads of one process that look up names; one that waits is small
IDLE_TIMEOUT = 30.0  # seconds after which a thread ends that has nothing to do
PATIENCE = 0.25  # seconds to wait for a thread before a further one is started
LACK_PAUSE = 0.5  # seconds until a look-up is tried again that found no free descriptor


def _look_up(host: str, port: int) -> list[str]:
    socket = threads.original('socket')
    # As bytes: a text would load the idna codec, through the patched import of a green process.
    found = socket.getaddrinfo(host.encode('ascii'), port, type=socket.SOCK_STREAM)
    # The order stays as it is: the system puts the address that it reaches best first.
    return list(dict.fromkeys(pair[0] for _family, _type, _proto, _name, pair in found))


class _Question:
    """A name that is asked for; everybody who asks for it meanwhile waits for the one answer."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.asked_at: float | None = None  # when a thread began to ask
        self.answer: native_threads.Future[list[str]] = native_threads.Future()


class SystemResolver(Resolver):
    """Asks the operating system, in native threads of its own.

    usual    names that are looked up at the same time, unless these take long
    most     names that can be looked up at the same time
    timeout  seconds after which a name counts as one without addresses. Time spent
             waiting for a thread does not count
    look_up  look_up(host, port) asks, in a native thread, for the addresses of a name
    """

    def __init__(
        self,
        *,
        usual: int = USUAL_THREADS,
        most: int = MOST_THREADS,
        timeout: float = 30,
        look_up: Callable[[str, int], list[str]] = _look_up,
    ) -> None:
        self._usual = usual
        self._most = most
        self._timeout = timeout
        self._look_up = look_up
        self._open: dict[tuple[str, int], _Question] = {}
        # The C implementation of the queue uses no lock that eventlet could patch.
        self._waiting: _queue.SimpleQueue[_Question] = _queue.SimpleQueue()
        self._lock = threads.original('threading').Lock()
        self._time = threads.original('time')
        self._threads = self._idle = 0

    def addresses(self, host: str, port: int) -> list[str]:
        question = self._question(host, port)
        called_at = time.monotonic()
        while not interrupts.wait(question.answer, min(PATIENCE, self._timeout)):
            if question.asked_at is None:
                self._start_thread(self._most)
            elif time.monotonic() - max(called_at, question.asked_at) >= self._timeout:
                return []
        return question.answer.result()

    def addresses_of_all(
        self, places: Sequence[tuple[str, int]], *, within: float
    ) -> list[list[str]]:
        questions = [self._question(host, port) for host, port in places]
        until = time.monotonic() + min(within, self._timeout)
        while open_ := [one for one in questions if not one.answer.done()]:
            left = until - time.monotonic()
            if left <= 0:
                break
            if not interrupts.wait(open_[0].answer, min(PATIENCE, left)):
                for _ in [one for one in open_ if one.asked_at is None]:
                    self._start_thread(self._most)
        if any(one.asked_at is None for one in open_):
            raise errors.Unavailable(
                'Too many host names are being looked up at this moment; try again later.'
            )
        return [[] if one in open_ else one.answer.result() for one in questions]

    def _question(self, host: str, port: int) -> _Question:
        known = self._open.get((host, port))
        if known is not None:
            return known
        question = self._open[host, port] = _Question(host, port)
        self._waiting.put(question)
        if self._waiting.qsize() > self._idle:
            self._start_thread(self._usual)
        return question

    def _start_thread(self, most: int) -> None:
        with self._lock:
            if self._threads >= most:
                return
            self._threads += 1
        try:
            native_threads.start_native(self._serve, 'resolver')
        except OSError:  # the host has no room for a thread now; another look-up may end
            with self._lock:
                self._threads -= 1

    def _serve(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            try:
                question = self._waiting.get(timeout=IDLE_TIMEOUT)
            except _queue.Empty:
                break
            finally:
                with self._lock:
                    self._idle -= 1
            try:
                found = self._found(question)
            except BaseException as error:
                self._open.pop((question.host, question.port), None)
                question.answer.set_exception(error)
            else:
                self._open.pop((question.host, question.port), None)
                question.answer.set_result(found)
        with self._lock:
            self._threads -= 1

    def _found(self, question: _Question) -> list[str]:
        while True:
            question.asked_at = self._time.monotonic()
            try:
                return self._look_up(question.host, question.port)
            except (OSError, UnicodeError):
                if not _lacks_descriptors():
                    return []
            question.asked_at = None
            self._time.sleep(LACK_PAUSE)


def _lacks_descriptors() -> bool:
    """Whether that is why a name was not found. Its error does not tell."""
    try:
        threads.original('socket').socket().close()
    except OSError as error:
        return own_lack.is_one(error)
    return False
