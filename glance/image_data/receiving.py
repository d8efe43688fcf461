"""Receives a source into a staged file, and computes its digests on the way.

The first MiB is hashed and written in the thread that receives it, because for
small images a change of threads would cost more than the work. All later bytes
go in chunks to three pipeline stages: MD5, SHA-512 and writing. An import keeps
only a few chunks in memory, however large the image is.
"""

import contextlib
import dataclasses
import errno
import hashlib
import time
from collections.abc import Callable
from typing import Any, Protocol

from glance import native_threads
from glance.domain.checkpoint import Checkpoint
from glance.domain.lease import HandBack
from glance.image_data import files
from glance.image_data.follower import Follower
from glance.image_data.pipeline import ABANDON_TIMEOUT, PipelineStage
from glance.image_data.staged_file import STAGING_AREA, StagedFile

# Most bytes of one read.
READ_SIZE = 256 * 1024
# Most bytes of one read while the source sends less than this at a time. A buffer of the
# read size is allocated before the source sends, so many slow sources need little memory.
SMALL_READ_SIZE = 16 * 1024
# Bytes that are given to the pipeline stages at a time.
CHUNK = 2**20
# Most chunks that may wait for one stage; the source is not read meanwhile.
MAX_BACKLOG = 4

# Bytes per second, on average, below which a source counts as slow.
SLOW_RATE = 64 * 1024
# Seconds between two reads of a slow source. The kernel keeps what it sends meanwhile.
SLOW_READ_PAUSE = 3.0


class BeginAgain(Exception):
    """Raised by a source that sends its file from the first byte again.

    What was received is of no use. The source is to be received once more.
    """


class ByteSource(Protocol):
    """A file that is being sent; persistent_source.PersistentSource is one.

    size       bytes of the whole file as announced, or None
    begins_at  bytes at the begin of the file that are not sent
    validator  identifies this state of the file later, or None
    """

    size: int | None
    begins_at: int
    validator: str | None

    @property
    def mirror(self) -> int:
        """Which of the sources of the import it is."""

    def read(self, most: int, /) -> bytes | None:
        """At most that many bytes; b'' at the end. May raise BeginAgain.

        None if the next call will have to wait long: then what has come should be safe.
        """

    def pause(self, seconds: float, /) -> None:
        """Do not read for some seconds."""


@dataclasses.dataclass(frozen=True)
class Pace:
    """How often something is done while a source is received.

    checkpoint_interval  bytes from one checkpoint to the next. The first one is written
                         after more than a MiB, or after progress_interval: from then on
                         a later claim on this host can use all that is in the file
    progress_interval    most seconds from one call of on_progress to the next, unless
                         the source is silent
    slow_after           seconds after its first byte before a source may count as slow
    abandon_timeout      seconds to wait for a disk that does not answer, after an error
    """

    checkpoint_interval: int = 64 * 2**20
    progress_interval: float = 2.0
    slow_after: float = 5.0
    abandon_timeout: float = ABANDON_TIMEOUT


USUAL_PACE = Pace()


@dataclasses.dataclass(frozen=True)
class FetchResult:
    """Size in bytes and digests, in lower-case hexadecimal, of a received file.

    digests  all that were computed, by algorithm
    """

    size: int
    digests: dict[str, str]

    @property
    def checksum(self) -> str:
        return self.digests['md5']

    @property
    def os_hash_value(self) -> str:
        return self.digests['sha512']


class Digests:
    """MD5, SHA-512 and perhaps one more digest of the bytes that are added."""

    def __init__(self, more: str | None = None) -> None:
        self._hashes = {'md5': hashlib.md5(usedforsecurity=False), 'sha512': hashlib.sha512()}
        if more is not None and more not in self._hashes:
            self._hashes[more] = hashlib.new(more)

    @property
    def updates(self) -> list[Callable[[bytes], object]]:
        """The functions that add bytes, one for each digest."""
        return [one.update for one in self._hashes.values()]

    @property
    def hexadecimal(self) -> dict[str, str]:
        return {name: one.hexdigest() for name, one in self._hashes.items()}


@dataclasses.dataclass(frozen=True)
class Receiver:
    """How a source is received.

    on_progress  called with the number of bytes received so far, about every MiB
                 and, unless the source is silent, every few seconds; an exception
                 from it ends the work
    pool         hashes, writes and syncs
    on_hashed    called every few seconds while all bytes are received and the digests
                 still catch up
    digest       an algorithm to compute besides MD5 and SHA-512, or None
    disk         the disk that the file is on
    pace         how often checkpoints are written and progress is reported
    following    hashes the bytes that the source does not send
    """

    on_progress: Callable[[int], object]
    pool: native_threads.NativePool
    on_hashed: Callable[[], object] = lambda: None
    digest: str | None = None
    disk: files.Disk = files.DISK
    pace: Pace = USUAL_PACE
    following: type[Follower] = Follower

    def receive(self, source: ByteSource, path: str) -> FetchResult:
        """Receive all of a source into a file, durably.

        path  a file that belongs to this run alone. It is replaced, except for the
              bytes that the source does not send. These are hashed while the others
              are received.

        Raises what the source raises, and StorageFull; before the first byte if there
        is no room for the announced size. After an exception the file stays as it is,
        and its checkpoint is valid. When this returns or raises, no thread works on the
        file any more, except in a system call for a disk that does not answer.
        """
        digests = Digests(self.digest)
        with contextlib.ExitStack() as stack:
            stack.enter_context(files.named_errors(STAGING_AREA))
            file = stack.enter_context(StagedFile(path, source.begins_at, self.pool, self.disk))
            follower = None
            if source.begins_at:
                follower = self.following(path, digests.updates, self.pool)
                stack.callback(follower.close)
                file.on_written = follower.follow
                follower.follow(0, source.begins_at)
            file.require_room(source.size)
            size = self._receive(source, file, digests, follower)
        return FetchResult(size, digests.hexadecimal)

    def _receive(
        self, source: ByteSource, file: StagedFile, digests: Digests, follower: Follower | None
    ) -> int:
        """Receive and hash everything; returns the size of the whole file."""
        hashing: list[PipelineStage[Any]] = []
        if follower is None:
            hashing = [PipelineStage(update, self.pool) for update in digests.updates]
        fed = [*hashing, file.writer]
        behind: list[PipelineStage[Any]] = [*follower.stages] if follower else []
        try:
            size = _feed(source, file, fed, self.on_progress, self.pace)
            file.sync()
            for stage in (*fed, file.syncer):
                stage.wait_until(0, lambda: self.on_progress(size))
            if follower:
                _catch_up(follower, lambda: self.on_progress(size), self.on_hashed)
        except BaseException as error:
            stages = (*fed, *behind, file.syncer)
            idle = [stage.abandon(self.pace.abandon_timeout) for stage in stages]
            if isinstance(error, HandBack) and all(idle):
                _checkpoint_at_end(file, source)
            if isinstance(error, BeginAgain) and not all(idle):
                # A thread that works on this file could write a checkpoint beside the next one.
                raise TimeoutError(errno.EIO, 'the disk does not answer') from error
            raise
        return size


def _catch_up(
    follower: Follower, on_wait: Callable[[], object], on_hashed: Callable[[], object]
) -> None:
    """Wait until all that is written is hashed. A disk that does not answer is no progress."""
    hashed = follower.hashed

    def report() -> None:
        nonlocal hashed
        (on_hashed if follower.hashed > hashed else on_wait)()
        hashed = follower.hashed

    for stage in follower.stages:
        stage.wait_until(0, report)


def _checkpoint_at_end(file: StagedFile, source: ByteSource) -> None:
    """Write a last checkpoint for the claim that will resume the fetch.

    Of a complete file the last byte is left out, because a source cannot be asked
    for an empty range.
    """
    is_complete = source.size in (None, file.written)
    size = file.written - is_complete
    if size and source.validator:
        file.checkpoint_at_end(
            Checkpoint(size, source.size, source.validator, closed=True, mirror=source.mirror)
        )


def _feed(
    source: ByteSource,
    file: StagedFile,
    stages: list[PipelineStage[Any]],
    on_progress: Callable[[int], object],
    pace: Pace,
) -> int:
    """Give all that the source sends to the stages. Returns the size of the whole file."""
    size = reported = checkpoint_at = file.written
    began = reported_at = time.monotonic()
    is_noted = source.begins_at > 0
    pieces: list[bytes] = []
    most = SMALL_READ_SIZE
    while (piece := source.read(most)) != b'':
        if piece is not None:
            size += len(piece)
            most = READ_SIZE if len(piece) >= SMALL_READ_SIZE else SMALL_READ_SIZE
            if size <= CHUNK and not is_noted:
                for stage in stages:
                    stage.work_here(piece)
            else:
                pieces.append(piece)
                stages[0].expect(len(piece))
        now = time.monotonic()
        is_much = size - reported >= (0 if stages[0].memory.is_full else CHUNK)
        is_late = now - reported_at >= pace.progress_interval
        if is_much or is_late or piece is None:
            _hand_over(pieces, stages, lambda size=size: on_progress(size))  # type: ignore[misc]
            reported, reported_at = size, now
            is_due = not is_noted or size - checkpoint_at >= pace.checkpoint_interval
            if is_due and source.validator and size not in (0, source.size):
                file.checkpoint(
                    Checkpoint(size, source.size, source.validator, mirror=source.mirror)
                )
                checkpoint_at, is_noted = size, True
        if piece is None:
            continue
        seconds = now - began
        is_slow = seconds > pace.slow_after and size - source.begins_at < SLOW_RATE * seconds
        if is_slow and len(piece) < SMALL_READ_SIZE:
            # Hundreds of slow sources would keep the hub busy with a few bytes at a time.
            source.pause(SLOW_READ_PAUSE)
        time.sleep(0)  # let other green threads run, even if the source is fast
    _hand_over(pieces, stages, lambda: on_progress(size))
    return size


def _hand_over(
    pieces: list[bytes], stages: list[PipelineStage[Any]], report: Callable[[], object]
) -> None:
    """Give the collected pieces to all stages as one chunk, and wait for room if need be."""
    if pieces:
        chunk = b''.join(pieces)
        pieces.clear()
        for stage in stages:
            stage.put(chunk)
        for stage in stages:
            stage.wait_until(MAX_BACKLOG, report)
    report()
