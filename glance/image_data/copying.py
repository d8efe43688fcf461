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
from glance.domain.checkpoint import Checkpoint
from glance.domain.lease import HandBack
from glance.image_data import files
from glance.image_data.staged_file import PLACE, StagedFile
from glance.image_data.stages import Stage

PIECE = 256 * 1024  # bytes read at once
SMALL = 16 * 1024  # the same while little comes: room for it is held by each that waits
CHUNK = 2**20  # bytes handed to the stages at once
DEPTH = 4  # chunks that a stage may be behind
BETWEEN = 64 * 2**20  # bytes from one checkpoint to the next
SLOW = 64 * 1024  # bytes a second, on the whole, below which a source is slow,
SLOW_AFTER = 5.0  # seconds after its first byte;
REST = 3.0  # seconds until it is listened to again: the kernel keeps what comes meanwhile
TICK = 2.0  # seconds between two calls of on_progress, at most


@dataclasses.dataclass(frozen=True)
class Copied:
    """What was received: bytes, and digests in lower-case hexadecimal."""

    size: int
    checksum: str  # MD5
    os_hash_value: str
    os_hash_algo: str = 'sha512'


class Received:
    """The digests of the first bytes of a file, so many."""

    def __init__(self):
        self.size = 0
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.sha512 = hashlib.sha512()

    def stages(self, pool):
        return [Stage(self.md5.update, pool), Stage(self.sha512.update, pool)]


def read_again(path, size, *, on_progress, pool):
    """The digests of what an earlier claim received: the first size bytes of a file.

    Returns Received, or None if there is less in it. on_progress and pool as in
    receive(). Raises OSError if it cannot be read.
    """
    os = threads.original('os')
    received = Received()
    stages = received.stages(pool)
    handle = files.open_plain(path, os.O_RDONLY)
    try:
        while received.size < size:
            reading = pool.submit(
                os.pread, handle, min(CHUNK, size - received.size), received.size
            )
            chunk = files.waited_for(reading, lambda: on_progress(received.size))
            if not chunk:
                return None
            received.size += len(chunk)
            _hand_over([chunk], stages, lambda: on_progress(received.size))
        for stage in stages:
            stage.wait_until(0, lambda: on_progress(size))
    except BaseException:
        for stage in stages:
            stage.abandon()
        raise
    finally:
        os.close(handle)
    return received


def receive(source, path, *, on_progress, pool, received=None):
    """Receive all of a source into a file, durably.

    source       read(n) returns what has come, at most n bytes, b'' at the end;
                 it knows what was announced (size, or None) and what is too
                 much, from which byte on it sends (begins_at), and what proves
                 later that the file is the same (validator, or None)
    path         a file that belongs to this run alone; what is there is
                 replaced, but for the bytes that the source does not send
    on_progress  called with the bytes received so far, about every MiB and,
                 unless the source is silent, every few seconds; what it raises
                 ends the copy
    pool         NativePool for hashing, writing and syncing
    received     Received, what is in the file already

    Raises what the source raises, and StorageFull: before the first byte if
    there is no room for what was announced. The file is left as it is then,
    and what checkpoints.read(path) tells of it is true.
    When this returns or raises, nothing works on the file any more, except a
    call into a disk that does not answer.
    """
    if received is None or received.size != source.begins_at:
        received = Received()  # the source sends all of it
    try:
        with StagedFile(path, received.size, pool) as file:
            file.expect(source.size)
            return _receive(source, file, received, on_progress, pool)
    except OSError as error:
        if files.is_full(error):
            raise errors.StorageFull(PLACE) from error
        raise


def _receive(source, file, received, on_progress, pool):
    stages = [*received.stages(pool), file.stage]
    try:
        size = _pass_on(source, file, stages, on_progress)
        file.sync()
        for stage in (*stages, file.syncs):
            stage.wait_until(0, lambda: on_progress(size))
    except BaseException as error:
        at_rest = [stage.abandon() for stage in (*stages, file.syncs)]
        if isinstance(error, HandBack) and all(at_rest) and source.validator:
            _close(file, source)
        raise
    return Copied(size, received.md5.hexdigest(), received.sha512.hexdigest())


def _close(file, source):
    """Note how far it came. One byte stays to be asked for: of none a source cannot be asked."""
    whole = source.size in (None, file.written)
    size = file.written - whole
    if size:
        file.close_at(_checkpoint(source, size, closed=True))


def _checkpoint(source, size, *, closed=False):
    return Checkpoint(size, source.size, source.validator, closed)


def _pass_on(source, file, stages, on_progress):
    """All that the source sends, to the stages; returns the bytes of the whole file."""
    size = told = marked = file.written
    began = told_at = time.monotonic()
    pieces = []
    most = SMALL
    while piece := source.read(most):
        size += len(piece)
        most = PIECE if len(piece) >= SMALL else SMALL
        if size <= CHUNK and not source.begins_at:
            for stage in stages:
                stage.at_once(piece)
        else:
            pieces.append(piece)
        now = time.monotonic()
        if size - told >= CHUNK or now - told_at >= TICK:
            _hand_over(pieces, stages, lambda size=size: on_progress(size))
            told, told_at = size, now
            if source.validator and size - marked >= BETWEEN and size != source.size:
                file.mark(_checkpoint(source, size))
                marked = size
        if len(piece) < SMALL and _is_slow(size - source.begins_at, now - began):
            # Hundreds of these would keep the hub busy with a few bytes at a time.
            source.rest(REST)
        time.sleep(0)  # else a green thread with a fast source would not let others run
    _hand_over(pieces, stages, lambda: on_progress(size))
    return size


def _is_slow(came, seconds):
    return seconds > SLOW_AFTER and came < SLOW * seconds


def _hand_over(pieces, stages, tell):
    if pieces:
        chunk = b''.join(pieces)
        pieces.clear()
        for stage in stages:
            stage.put(chunk)
        for stage in stages:
            stage.wait_until(DEPTH, tell)
    tell()
