"""Durable copies of whole files, made in native threads."""

import contextlib
import errno
from collections.abc import Callable

from glance import native_threads, threads
from glance.image_data import files

CHUNK = 2**20  # bytes copied before the copy checks again whether it was stopped
# Bytes between two syncs. With one sync at the end, a slow disk would show no progress for long.
# No byte is written behind a multiple of it before all bytes up to there are durable.
SYNC_EVERY = 64 * 2**20

# The kernel cannot copy between these two files, so the bytes are read and written here.
_KERNEL_CANNOT_COPY = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)


class FileCopy:
    """A durable copy of a file, or of its first bytes, in a new file.

    size       bytes to copy; None for the whole file
    disk       the disk that the copy is written to
    begins_at  bytes of an existing copy that are good; None for a new file
    keeps      whether a copy that was stopped stays, so that a later one can go on with it
    copied     bytes copied so far, those that were good included
    stopped    set this from another thread to end the copy soon

    The native thread opens and closes both files, and removes a copy that it cannot
    complete, because the thread that waits for it may give up earlier. If the process
    dies, an incomplete copy stays. Its name belongs to one claim.
    """

    def __init__(
        self,
        path: str,
        target: str,
        size: int | None = None,
        disk: files.Disk = files.DISK,
        *,
        begins_at: int | None = None,
        keeps: bool = False,
    ) -> None:
        self._path = path
        self._target = target
        self._size = size
        self._disk = disk
        self._begins_at = begins_at
        self._keeps = keeps
        self.copied = 0
        self.stopped = False

    def make(self, pool: native_threads.NativePool, on_progress: Callable[[int], object]) -> None:
        """Copy in a thread of a NativePool, and wait for the end.

        on_progress  called every few seconds with the bytes copied; an exception
                     from it ends the copy

        Raises what run() raises.
        """
        try:
            files.wait_for(pool.submit(self.run), lambda: on_progress(self.copied), pool.tick)
        finally:
            self.stopped = True

    def run(self) -> None:
        """Copy in this thread.

        Raises FileExistsError, EOFError if the source has too few bytes, or OSError.
        """
        system = threads.original('os')
        with contextlib.ExitStack() as handles:
            if self.stopped:
                raise InterruptedError
            source = opened(handles, self._path, system.O_RDONLY)
            target = self._opened_target(handles, source)
            try:
                self._fill(source, target)
                system.fsync(target)
            except BaseException:
                if not (self._keeps and self.stopped):
                    system.unlink(self._target)
                raise

    def _opened_target(self, handles: contextlib.ExitStack, source: int) -> int:
        """A new file, or the existing one, at the end of its good bytes."""
        system = threads.original('os')
        if self._begins_at is None:
            flags = system.O_WRONLY | system.O_CREAT | system.O_EXCL
            return opened(handles, self._target, flags)
        target = files.open_plain(self._target, system.O_WRONLY)
        handles.callback(system.close, target)
        # Never more than the source has, or the copy would be longer than the source.
        self.copied = min(self._begins_at, system.fstat(source).st_size)
        system.ftruncate(target, self.copied)
        for handle in (source, target):
            system.lseek(handle, self.copied, system.SEEK_SET)
        return target

    def _fill(self, source: int, target: int) -> None:
        copy_some = self._disk.copy_range
        while self._size is None or self.copied < self._size:
            if self.stopped:
                raise InterruptedError
            most = min(CHUNK, SYNC_EVERY - self.copied % SYNC_EVERY)
            if self._size is not None:
                most = min(most, self._size - self.copied)
            try:
                part = copy_some(source, target, most)
            except OSError as error:
                if copy_some == self._read_and_write or error.errno not in _KERNEL_CANNOT_COPY:
                    raise
                copy_some = self._read_and_write
                continue
            if part == 0:
                break
            self.copied += part
            if self.copied % SYNC_EVERY == 0:
                self._disk.sync(target)
        if self.copied < (self._size or 0):
            raise EOFError(f'{self.copied} bytes instead of {self._size}')

    def _read_and_write(self, source: int, target: int, most: int) -> int:
        data: bytes = threads.original('os').read(source, most)
        self._disk.write_all(target, data)
        return len(data)


def durable(size: int) -> int:
    """How many bytes of an incomplete copy of this size are good, whatever ended its process."""
    return max(0, size - 1) // SYNC_EVERY * SYNC_EVERY


def opened(handles: contextlib.ExitStack, path: str, flags: int) -> int:
    """Open a file, but no symbolic link. The ExitStack closes it."""
    system = threads.original('os')
    handle: int = system.open(path, flags | system.O_CLOEXEC | system.O_NOFOLLOW, 0o600)
    handles.callback(system.close, handle)
    return handle
