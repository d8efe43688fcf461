"""A work on chunks that is done by native threads while its owner goes on."""

import collections

from glance import threads
from glance.image_data import files

PATIENCE = 5.0  # seconds to wait for a chunk in work when the rest is abandoned


class Stage:
    """A queue in front of one work, emptied by a native thread while something is in it.

    It borrows a thread only as long as chunks wait, so slow owners hold none,
    and owners that share a small pool cannot block one another. Its methods
    are for one owner; the work must use nothing that is patched in a green
    process.
    """

    def __init__(self, work, pool):
        self._work = work
        self._pool = pool
        self._lock = threads.original('threading').Lock()
        self._chunks = collections.deque()
        self._busy = False  # a native thread is at it, or was asked to be
        self._working = 0  # chunks in work: 1 or 0
        self._error = None
        self._waiter = None  # (Reply, how many may be left when it is given)
        self._at_rest = None

    def at_once(self, chunk):
        """Do the work here; only before the first put()."""
        self._work(chunk)

    def put(self, chunk):
        """Have the work done on a chunk, after that on earlier ones. Does not wait."""
        with self._lock:
            if self._error is not None:
                return  # wait_until() tells
            self._chunks.append(chunk)
            begin, self._busy = not self._busy, True
        if begin:
            self._pool.submit(self._empty)

    def wait_until(self, left, on_wait):
        """Wait until so many chunks at most are left. Raises what the work raised.

        on_wait is called every few seconds meanwhile.
        """
        waiter = self._waiter_for(left)
        if waiter is not None:
            files.waited_for(waiter, on_wait)
        if self._error is not None:
            raise self._error

    def abandon(self):
        """Forget what waits, and wait for what is in work if it ends soon.

        Returns whether it has ended.
        """
        rest = threads.Reply()
        with self._lock:
            self._chunks.clear()
        self.at_rest(rest.give)
        try:
            rest.wait(PATIENCE)
        except TimeoutError:
            return False
        return True

    def at_rest(self, function):
        """Call a function once no native thread is at this stage: now, as a rule."""
        with self._lock:
            if self._busy:
                self._at_rest = function
                return
        function()

    def _waiter_for(self, left):
        with self._lock:
            if self._error is not None or self._left <= left:
                return None
            waiter = threads.Reply()
            self._waiter = (waiter, left)
        return waiter

    @property
    def _left(self):
        return len(self._chunks) + self._working

    def _empty(self):
        error = None
        while (chunk := self._next(error)) is not None:
            error = None
            try:
                self._work(chunk)
            except BaseException as broken:  # it belongs to the owner
                error = broken
            chunk = None  # do not keep it alive while waiting for the lock

    def _next(self, error):
        """The next chunk to work on, or None; whoever waits for room is told."""
        waiter = at_rest = chunk = None
        with self._lock:
            self._working = 0
            if error is not None:
                self._error = error
                self._chunks.clear()
            if self._chunks:
                chunk = self._chunks.popleft()
                self._working = 1
            else:
                self._busy = False
                at_rest, self._at_rest = self._at_rest, None
            if self._waiter is not None and (
                self._error is not None or self._left <= self._waiter[1]
            ):
                (waiter, _left), self._waiter = self._waiter, None
        if at_rest is not None:
            at_rest()
        if waiter is not None:
            waiter.give()
        return chunk
