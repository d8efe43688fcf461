"""A pipeline stage: native threads work on chunks while their owner goes on."""

import collections
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

from glance import interrupts, native_threads, threads
from glance.image_data import files

TURN = 8  # chunks that a stage works on before others get its thread
ABANDON_TIMEOUT = 5.0  # seconds that abandon() usually waits for the chunk in work

# Bytes that all fetches over one pool keep in memory, from the socket to the last stage. While
# there are more, no fetch gets another chunk before its last one is done.
MOST_MEMORY = 64 * 2**20

_Chunk = TypeVar('_Chunk')


class ChunkMemory:
    """The received bytes that the fetches over one pool keep in memory.

    Use ChunkMemory.of(pool). Any native thread may call the methods.
    """

    _of_pools: weakref.WeakKeyDictionary[object, 'ChunkMemory'] = weakref.WeakKeyDictionary()

    def __init__(self, most: int = MOST_MEMORY) -> None:
        self.most = most
        self.held = 0
        self._lock = threads.original('threading').Lock()
        self._uses: dict[int, int] = {}  # by id(chunk): how many stages have it

    @classmethod
    def of(cls, pool: object) -> 'ChunkMemory':
        found = cls._of_pools.get(pool)
        if found is None:
            found = cls._of_pools[pool] = cls()
        return found

    @property
    def is_full(self) -> bool:
        return self.held >= self.most

    def count(self, size: int) -> None:
        """Count bytes that a fetch collects, or with a minus those that it collects no more."""
        with self._lock:
            self.held += size

    def take(self, chunk: object) -> None:
        """A stage has a chunk to work on. Several stages may have the same one."""
        if isinstance(chunk, bytes):
            with self._lock:
                uses = self._uses[id(chunk)] = self._uses.get(id(chunk), 0) + 1
                self.held += len(chunk) if uses == 1 else 0

    def give_back(self, chunk: object) -> None:
        """A stage has done with a chunk."""
        if isinstance(chunk, bytes):
            with self._lock:
                uses = self._uses[id(chunk)] = self._uses[id(chunk)] - 1
                if not uses:
                    del self._uses[id(chunk)]
                    self.held -= len(chunk)


class PipelineStage(Generic[_Chunk]):
    """A queue of chunks; a native thread does the work on one after another.

    work  called in a native thread with each chunk; it must use nothing that is
          patched in a green process

    The stage borrows a thread from the pool only while chunks wait, and for TURN
    chunks at a time. So slow owners hold no thread, and owners that share a small
    pool cannot block one another. Only one thread, the owner, may call the methods.
    """

    def __init__(self, work: Callable[[_Chunk], object], pool: native_threads.NativePool) -> None:
        self.memory = ChunkMemory.of(pool)
        self._work = work
        self._pool = pool
        self._lock = threads.original('threading').Lock()
        self._chunks: collections.deque[_Chunk] = collections.deque()
        self._busy = False  # a native thread works for this stage, or was asked to
        self._expected = 0  # bytes of the next chunk that the owner has collected
        self._in_work = 0  # chunks in work: 1 or 0
        self._error: BaseException | None = None
        self._waiter: tuple[native_threads.Future[None], int] | None = (
            None  # Future, most chunks left
        )
        self._when_idle: Callable[[], object] | None = None

    def work_here(self, chunk: _Chunk) -> None:
        """Do the work in this thread. Allowed only before the first put()."""
        self._work(chunk)

    def expect(self, size: int) -> None:
        """Count bytes that are collected for the next chunk. One stage of several is enough."""
        self._expected += size
        self.memory.count(size)

    def put(self, chunk: _Chunk) -> None:
        """Queue a chunk. Does not wait."""
        self._expect_nothing()
        with self._lock:
            if self._error is not None:
                return  # wait_until() will raise it
            self._chunks.append(chunk)
            self.memory.take(chunk)
            begin, self._busy = not self._busy, True
        if begin:
            try:
                self._pool.submit(self._work_off)
            except OSError:  # no thread can be started
                self._busy = False
                raise

    def wait_until(self, left: int, on_wait: Callable[[], object]) -> None:
        """Wait until at most `left` chunks are not done yet. Raises what the work raised.

        If all fetches together keep too much in memory, it waits until none is left.

        on_wait  called every few seconds during the wait
        """
        future = self._future_of(0 if self.memory.is_full else left)
        if future is not None:
            files.wait_for(future, on_wait, self._pool.tick)
        if self._error is not None:
            raise self._error

    def abandon(self, timeout: float = ABANDON_TIMEOUT) -> bool:
        """Drop the waiting chunks, and wait up to timeout seconds for the one in work.

        Returns whether no thread works for this stage any more.
        """
        idle: native_threads.Future[None] = native_threads.Future()
        self._expect_nothing()
        with self._lock:
            self._drop_waiting()
        self.call_when_idle(idle.set_result)
        return interrupts.wait(idle, timeout)

    def call_when_idle(self, function: Callable[[], object]) -> None:
        """Call a function when no native thread works for this stage; usually at once."""
        with self._lock:
            if self._busy:
                self._when_idle = function
                return
        function()

    def _expect_nothing(self) -> None:
        self.memory.count(-self._expected)
        self._expected = 0

    def _drop_waiting(self) -> None:
        while self._chunks:
            self.memory.give_back(self._chunks.popleft())

    def _future_of(self, left: int) -> native_threads.Future[None] | None:
        """The Future that is done when at most `left` chunks are left; None if that is so now."""
        with self._lock:
            if self._error is not None or self._left <= left:
                return None
            future: native_threads.Future[None] = native_threads.Future()
            self._waiter = (future, left)
        return future

    @property
    def _left(self) -> int:
        return len(self._chunks) + self._in_work

    def _work_off(self) -> None:
        """Work on the chunks that wait, then on those of other stages. Runs in a native thread."""
        error = None
        worked = 0
        while (chunk := self._next(error)) is not None:
            error = None
            try:
                self._work(chunk)
            except BaseException as broken:  # wait_until() raises it in the thread of the owner
                error = broken
            self.memory.give_back(chunk)
            chunk = None  # do not keep it alive while waiting for the lock
            worked += 1
            if worked >= TURN and error is None:
                self._pool.submit(self._work_off)
                return

    def _next(self, error: BaseException | None) -> _Chunk | None:
        """The next chunk to work on, or None. Wakes the owner if few enough chunks are left.

        error  what the work on the last chunk raised, or None
        """
        future = when_idle = chunk = None
        with self._lock:
            self._in_work = 0
            if error is not None:
                self._error = error
                self._drop_waiting()
            if self._chunks:
                chunk = self._chunks.popleft()
                self._in_work = 1
            else:
                self._busy = False
                when_idle, self._when_idle = self._when_idle, None
            if self._waiter is not None and (
                self._error is not None or self._left <= self._waiter[1]
            ):
                (future, _left), self._waiter = self._waiter, None
        if when_idle is not None:
            when_idle()
        if future is not None:
            future.set_result()
        return chunk
