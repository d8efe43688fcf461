"""Copies of files as native threads make them; one place for all that copy whole files."""

import contextlib
import errno

from glance import threads
from glance.image_data import files

AT_ONCE = 2**20  # bytes copied between two looks whether to go on
SYNC_EVERY = 64 * 2**20  # bytes; a disk that is slow must not hide that it gets on

# The kernel cannot copy between these two: their bytes pass through here.
_BY_HAND = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)


class Copy:
    """A durable copy of a file, or of its first bytes, in a file of its own.

    size     so many bytes are copied; None: all
    copied   bytes so far
    stopped  to be set from outside; the copy ends soon

    What cannot be ended is removed by the thread that made it, which opens and
    closes the files itself: whoever waits for it may go away. A copy that a
    death cut off is found by its place, and never taken for a whole one.
    """

    def __init__(self, path, target, size=None):
        self._path = path
        self._target = target
        self._size = size
        self.copied = 0
        self.stopped = False

    def make(self, pool, on_progress):
        """Have it made by a thread of a NativePool, and wait for it.

        on_progress  called every few seconds with the bytes copied; what it
                     raises ends the copy

        Raises what run() raises.
        """
        try:
            files.waited_for(pool.submit(self.run), lambda: on_progress(self.copied))
        finally:
            self.stopped = True

    def run(self):
        """Make it. Raises FileExistsError, EOFError if there are too few bytes, or OSError."""
        system = threads.original('os')
        with contextlib.ExitStack() as handles:
            if self.stopped:
                raise InterruptedError
            source = opened(handles, self._path, system.O_RDONLY)
            target = opened(
                handles, self._target, system.O_WRONLY | system.O_CREAT | system.O_EXCL
            )
            try:
                self._fill(source, target)
                system.fsync(target)
            except BaseException:
                system.unlink(self._target)
                raise

    def _fill(self, source, target):
        some, synced = _by_kernel, 0
        while self._size is None or self.copied < self._size:
            if self.stopped:
                raise InterruptedError
            most = AT_ONCE if self._size is None else min(AT_ONCE, self._size - self.copied)
            try:
                part = some(source, target, most)
            except OSError as error:
                if some is _by_hand or error.errno not in _BY_HAND:
                    raise
                some = _by_hand
                continue
            if part == 0:
                break
            self.copied += part
            if self.copied - synced >= SYNC_EVERY:
                threads.original('os').fdatasync(target)
                synced = self.copied
        if self.copied < (self._size or 0):
            raise EOFError(f'{self.copied} bytes instead of {self._size}')


def _by_kernel(source, target, most):
    """It shares the blocks where the file system can."""
    return threads.original('os').copy_file_range(source, target, most)


def _by_hand(source, target, most):
    data = threads.original('os').read(source, most)
    files.write_all(target, data)
    return len(data)


def opened(handles, path, flags):
    """Open a file, no link, until the ExitStack is left."""
    system = threads.original('os')
    handle = system.open(path, flags | system.O_CLOEXEC | system.O_NOFOLLOW, 0o600)
    handles.callback(system.close, handle)
    return handle
