"""Receiving a source into a file, hashed on the way.

The first MiB is hashed and written where it is received, for most of what
small images cost would be the change of threads. What follows goes in chunks
to three stages: MD5, SHA-512, write. A whole import keeps a few chunks in
memory, however large it is.
"""

import dataclasses
import hashlib
import time

from glance import threads
from glance.domain import errors
from glance.image_data import files
from glance.image_data.stages import Stage

PIECE = 256 * 1024  # bytes read at once
SMALL = 16 * 1024  # the same while little comes: room for it is held by each that waits
CHUNK = 2**20  # bytes handed to the stages at once
DEPTH = 4  # chunks that a stage may be behind
SLOW = 64 * 1024  # bytes a second, on the whole, below which a source is slow,
SLOW_AFTER = 5.0  # seconds after its first byte;
REST = 3.0  # seconds until it is listened to again: the kernel keeps what comes meanwhile
TICK = 2.0  # seconds between two calls of on_progress, at most

_PLACE = 'the staging area'
_SYNC = object()  # in place of a chunk


@dataclasses.dataclass(frozen=True)
class Copied:
    """What was received: bytes, and digests in lower-case hexadecimal."""

    size: int
    checksum: str  # MD5
    os_hash_value: str
    os_hash_algo: str = 'sha512'


def receive(source, path, *, on_progress, pool):
    """Receive all of a source into a file, durably.

    source       read(n) returns what has come, at most n bytes, b'' at the end;
                 it knows what was announced (size, or None) and what is too much
    path         a file that belongs to this run alone; what is there is replaced
    on_progress  called with the bytes received so far, about every MiB and,
                 unless the source is silent, every few seconds; what it raises
                 ends the copy
    pool         NativePool for hashing, writing and syncing

    Raises what the source raises, and StorageFull: before the first byte if
    there is no room for what was announced. The file is left as it is then.
    When this returns or raises, nothing works on the file any more, except a
    call into a disk that does not answer.
    """
    try:
        with _File(path, pool) as file:
            file.expect(source.size)
            return _receive(source, file, on_progress, pool)
    except OSError as error:
        if files.is_full(error):
            raise errors.StorageFull(_PLACE) from error
        raise


def _receive(source, file, on_progress, pool):
    md5, sha512 = hashlib.md5(usedforsecurity=False), hashlib.sha512()
    stages = [Stage(md5.update, pool), Stage(sha512.update, pool), file.stage]
    try:
        size = _pass_on(source, stages, on_progress)
        file.stage.put(_SYNC)
        for stage in stages:
            stage.wait_until(0, lambda: on_progress(size))
    except BaseException:
        for stage in stages:
            stage.abandon()
        raise
    return Copied(size, md5.hexdigest(), sha512.hexdigest())


def _pass_on(source, stages, on_progress):
    """All that the source sends, to the stages; returns how many bytes."""
    size = told = 0
    began = told_at = time.monotonic()
    pieces = []
    most = SMALL
    while piece := source.read(most):
        size += len(piece)
        most = PIECE if len(piece) >= SMALL else SMALL
        if size <= CHUNK:
            for stage in stages:
                stage.at_once(piece)
        else:
            pieces.append(piece)
        now = time.monotonic()
        if size - told >= CHUNK or now - told_at >= TICK:
            _hand_over(pieces, stages, lambda size=size: on_progress(size))
            told, told_at = size, now
        if len(piece) < SMALL and now - began > SLOW_AFTER and size < SLOW * (now - began):
            # Hundreds of these would keep the hub busy with a few bytes at a time.
            source.rest(REST)
        time.sleep(0)  # else a green thread with a fast source would not let others run
    _hand_over(pieces, stages, lambda: on_progress(size))
    return size


def _hand_over(pieces, stages, tell):
    if pieces:
        chunk = b''.join(pieces)
        pieces.clear()
        for stage in stages:
            stage.put(chunk)
        for stage in stages:
            stage.wait_until(DEPTH, tell)
    tell()


class _File:
    """The file that is written, and the stage that writes it."""

    def __init__(self, path, pool):
        self._os = os = threads.original('os')
        # Not O_TRUNC: it takes long for a large file, and an earlier try may have been linked.
        files.remove(path, pool)
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.stage = Stage(self._write, pool)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stage.at_rest(lambda: self._os.close(self._handle))

    def expect(self, size):
        """Raise StorageFull if so many bytes have no room; None is any number."""
        if (size or 0) > files.room(self._handle):
            raise errors.StorageFull(f'{_PLACE} for the {size} bytes that the source announced')

    def _write(self, chunk):
        if chunk is _SYNC:
            self._os.fdatasync(self._handle)
        elif len(chunk) > files.room(self._handle):  # others may be filling the disk, too
            raise errors.StorageFull(_PLACE)
        else:
            files.write_all(self._handle, chunk)
