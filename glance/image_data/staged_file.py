"""A staged file while it is received: writing, syncing and checkpoints, in native threads."""

import contextlib
import time
from collections.abc import Callable
from typing import Any, Self

from glance import native_threads, threads
from glance.domain import errors
from glance.domain.checkpoint import Checkpoint
from glance.image_data import checkpoints, files
from glance.image_data.pipeline import PipelineStage

STAGING_AREA = 'the staging area'  # how messages call it
LAST_CHECKPOINT_TIMEOUT = 2.0  # seconds to wait for the checkpoint of a file that is handed back

# Two commands for the writer, in place of a chunk.
_TRUNCATE = object()  # remove all that follows the bytes that are kept
_SYNC = object()  # make all bytes durable


class StagedFile:
    """A file to which pipeline stages append.

    If somebody else shortens or extends it, the next write raises StagingChanged. The
    digests are those of the received bytes, so nothing later would notice it.

    path       a new file, unless begins_at bytes of the existing one are kept
    writer     the stage that writes chunks of bytes; sync() and checkpoint() use it too
    syncer     the stage that makes bytes durable and writes checkpoints; wait for it
               after the writer
    disk       the disk that the file is on
    written    bytes in the file, those that were kept included
    """

    def __init__(
        self,
        path: str,
        begins_at: int,
        pool: native_threads.NativePool,
        disk: files.Disk = files.DISK,
    ) -> None:
        self._os = os = threads.original('os')
        self._disk = disk
        self._path = path
        if begins_at:
            self._handle = files.open_plain(path, os.O_WRONLY | os.O_APPEND)
        else:
            checkpoints.remove(path)
            # Not O_TRUNC: truncating a large file takes long, and an earlier attempt may have
            # linked this file into the store.
            files.remove(path, pool)
            flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_CREAT | os.O_EXCL
            # With O_APPEND, bytes that follow a truncation leave no hole of zeros.
            self._handle = os.open(path, flags | os.O_WRONLY | os.O_APPEND, 0o600)
        self.written = begins_at
        # on_written(begin, end): called in a native thread after these bytes were written.
        self.on_written: Callable[[int, int], object] = lambda begin, end: None
        self.writer: PipelineStage[Any] = PipelineStage(self._write, pool)
        self.syncer: PipelineStage[Checkpoint] = PipelineStage(self._sync, pool)
        if begins_at:
            self.writer.put(_TRUNCATE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        # In this order, because a busy writer may still give work to the syncer.
        self.writer.call_when_idle(
            lambda: self.syncer.call_when_idle(lambda: self._os.close(self._handle))
        )

    def require_room(self, size: int | None) -> None:
        """Raise StorageFull if the file cannot grow to this size. None is always accepted."""
        if (size or 0) - self.written > self._disk.free_bytes(self._handle):
            raise errors.StorageFull(
                f'{STAGING_AREA} for the {size} bytes that the source announced'
            )

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint once all bytes before it are durable, while more are written."""
        self.writer.put(checkpoint)

    def sync(self) -> None:
        """Make durable all bytes that were given to the writer so far."""
        self.writer.put(_SYNC)

    def checkpoint_at_end(self, checkpoint: Checkpoint) -> None:
        """Write the last checkpoint of an idle file, if the disk is fast enough for it."""
        if self._size() != self.written:
            checkpoints.remove(self._path)  # no byte of the file can be trusted
            return
        until = time.monotonic() + LAST_CHECKPOINT_TIMEOUT

        def on_wait() -> None:
            if time.monotonic() > until:
                raise TimeoutError

        self.syncer.put(checkpoint)
        with contextlib.suppress(OSError):  # an earlier checkpoint, if there is one, stays valid
            self.syncer.wait_until(0, on_wait)

    def _write(self, chunk: Any) -> None:
        """Write bytes, or do what a command or Checkpoint in their place asks for."""
        size = self._size()
        if size < self.written or (size > self.written and chunk is not _TRUNCATE):
            raise errors.StagingChanged
        if chunk is _TRUNCATE:
            self._os.ftruncate(self._handle, self.written)
        elif chunk is _SYNC:
            self._disk.sync(self._handle)
        elif not isinstance(chunk, bytes):
            self.syncer.put(chunk)
        elif len(chunk) > self._disk.free_bytes(self._handle):  # other programs fill the disk, too
            raise errors.StorageFull(STAGING_AREA)
        else:
            self._disk.write_all(self._handle, chunk)
            self.written += len(chunk)
            self.on_written(self.written - len(chunk), self.written)

    def _size(self) -> int:
        size: int = self._os.fstat(self._handle).st_size
        return size

    def _sync(self, checkpoint: Checkpoint) -> None:
        self._disk.sync(self._handle)
        with contextlib.suppress(OSError):  # the bytes are safe; an earlier checkpoint is valid
            checkpoints.write(self._path, checkpoint)
