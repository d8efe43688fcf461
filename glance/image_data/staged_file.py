"""A staged file while it is received: its writing, its syncing, and its checkpoints."""

import contextlib
import time

from glance import threads
from glance.domain import errors
from glance.image_data import checkpoints, files
from glance.image_data.stages import Stage

PLACE = 'the staging area'
PATIENCE = 2.0  # seconds to wait for the last checkpoint of a file that is handed back

_CUT = object()  # first of all: what stands behind the bytes that stay goes
_LAST = object()  # in place of a Checkpoint: all is written


class StagedFile:
    """A file that is written at its end, by stages.

    path       it is made new, unless begins_at bytes of what is there stay
    stage      takes chunks of bytes to write, and what sync() and mark() put
    syncs      what makes durable meanwhile; to be waited for after stage
    written    bytes in the file, those that stayed too
    """

    def __init__(self, path, begins_at, pool):
        self._os = os = threads.original('os')
        self._path = path
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        if begins_at:
            self._handle = files.open_plain(path, os.O_WRONLY | os.O_APPEND)
        else:
            checkpoints.remove(path)
            # Not O_TRUNC: it takes long for a large file, and an earlier try may have been linked.
            files.remove(path, pool)
            self._handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        self.written = begins_at
        self.stage = Stage(self._write, pool)
        self.syncs = Stage(self._sync, pool)
        if begins_at:
            self.stage.put(_CUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # In this order: what is written may still ask for a sync.
        self.stage.at_rest(lambda: self.syncs.at_rest(lambda: self._os.close(self._handle)))

    def expect(self, size):
        """Raise StorageFull if there is no room to make it so large; None is any size."""
        if (size or 0) - self.written > files.room(self._handle):
            raise errors.StorageFull(f'{PLACE} for the {size} bytes that the source announced')

    def mark(self, checkpoint):
        """Note a Checkpoint once all before it is durable, while more is written."""
        self.stage.put(checkpoint)

    def sync(self):
        """Make all durable that was put so far."""
        self.stage.put(_LAST)

    def close_at(self, checkpoint):
        """Note the last Checkpoint of a file at rest, if the disk is quick enough for it."""
        until = time.monotonic() + PATIENCE

        def on_wait():
            if time.monotonic() > until:
                raise TimeoutError

        self.syncs.put(checkpoint)
        with contextlib.suppress(OSError):  # then an earlier one counts, if there is any
            self.syncs.wait_until(0, on_wait)

    def _write(self, chunk):
        if chunk is _CUT:
            self._os.ftruncate(self._handle, self.written)
        elif chunk is _LAST:
            self._os.fdatasync(self._handle)
        elif not isinstance(chunk, bytes):
            self.syncs.put(chunk)
        elif len(chunk) > files.room(self._handle):  # others may be filling the disk, too
            raise errors.StorageFull(PLACE)
        else:
            files.write_all(self._handle, chunk)
            self.written += len(chunk)

    def _sync(self, checkpoint):
        self._os.fdatasync(self._handle)
        with contextlib.suppress(OSError):  # the bytes are safe, and an earlier one is true
            checkpoints.write(self._path, checkpoint)
