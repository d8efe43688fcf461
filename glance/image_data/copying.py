"""Receiving a source into a file, hashed on the way.

    source.read() -> first MiB: hashed and written where it is received
                  -> after that, chunks for three stages: MD5, SHA-512, write

A stage has a short queue and borrows a native thread of the pool only while
something is in it, so slow sources hold none, and imports that share a small
pool cannot block one another. A whole import keeps a few chunks in memory,
however large it is.
"""

import collections
import dataclasses
import hashlib
import time

from glance import threads
from glance.domain import errors
from glance.image_data import files

PIECE = 256 * 1024  # bytes read at once
CHUNK = 2**20  # bytes handed to the stages at once
DEPTH = 4  # chunks that may wait for a stage
TICK = 2.0  # seconds between two calls of on_progress, at most


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
                 it knows what it announced and what is too much
    path         a file that belongs to this run alone; it is overwritten
    on_progress  called with the bytes received so far, at least every MiB and,
                 unless the source is silent, every few seconds; what it raises
                 ends the copy
    pool         NativePool for hashing, writing and syncing

    Raises what the source raises, and StorageFull. The file is left as it is
    then; when this returns or raises, nothing works on it any more, except a
    call into a disk that does not answer.
    """
    file = _File(path)
    digests = [hashlib.md5(usedforsecurity=False), hashlib.sha512()]
    stages = _Stages([digest.update for digest in digests] + [file.write], pool)
    try:
        size = _pass_on(source, stages, on_progress)
        stages.finish(lambda: on_progress(size))
        files.waited_for(pool.submit(file.sync), lambda: on_progress(size))
    except OSError as error:
        stages.abandon()
        if files.is_full(error):
            raise errors.StorageFull('the staging area') from error
        raise
    except BaseException:
        stages.abandon()
        raise
    finally:
        stages.at_rest(file.close)
    return Copied(size, *(digest.hexdigest() for digest in digests))


def _pass_on(source, stages, on_progress):
    """Everything the source sends, to the stages; returns the size in bytes."""
    size = 0
    while size < CHUNK and (piece := source.read(PIECE)):
        stages.at_once(piece)
        size += len(piece)
        on_progress(size)
        time.sleep(0)  # a fast source never makes a green thread wait by itself
    pieces, held, told = [], 0, time.monotonic()
    while piece := source.read(PIECE):
        pieces.append(piece)
        held += len(piece)
        now = time.monotonic()
        if held >= CHUNK or now - told >= TICK:
            size += held
            stages.put(b''.join(pieces), lambda: on_progress(size))
            pieces, held, told = [], 0, now
            on_progress(size)
        time.sleep(0)
    if held:
        size += held
        stages.put(b''.join(pieces), lambda: on_progress(size))
        on_progress(size)
    return size


class _File:
    def __init__(self, path):
        self._os = os = threads.original('os')
        self._handle = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def write(self, data):
        files.write_all(self._handle, data)

    def sync(self):
        self._os.fdatasync(self._handle)

    def close(self):
        self._os.close(self._handle)


class _Stages:
    """Works that each get every chunk, in order, beside one another."""

    def __init__(self, works, pool):
        self._works = works
        self._stages = [_Stage(work, pool) for work in works]

    def at_once(self, piece):
        """Do all works here; only before the first put()."""
        for work in self._works:
            work(piece)

    def put(self, chunk, on_wait):
        """Hand over a chunk; waits for room, and raises what a work raised."""
        for stage in self._stages:
            stage.put(chunk)
        for stage in self._stages:
            stage.wait_until(DEPTH - 1, on_wait)

    def finish(self, on_wait):
        """Wait until all is done; raises what a work raised."""
        for stage in self._stages:
            stage.wait_until(0, on_wait)

    def abandon(self):
        """Forget what waits. What is at work on a chunk ends with it."""
        for stage in self._stages:
            stage.clear()

    def at_rest(self, function):
        """Call a function as soon as no work runs any more: now, as a rule, or shortly."""
        function()


class _Stage:
    """A queue in front of one work, emptied by a native thread while there is something in it."""

    def __init__(self, work, pool):
        self._work = work
        self._pool = pool
        self._lock = threads.original('threading').Lock()
        self._chunks = collections.deque()
        self._busy = False
        self._wanted = 0
        self._room = None
        self._error = None
