"""Computes the digests of a file while another stage appends to it.

A fetch that goes on does not wait until the bytes of earlier claims are hashed
again: that would take longer the more there are. It appends at once, and the
digests follow behind the writer until they have caught up.
"""

import functools
from collections.abc import Callable
from typing import Any

from glance import native_threads, threads
from glance.domain import errors
from glance.image_data import files
from glance.image_data.pipeline import PipelineStage

REGION = 2**20  # bytes that are read and hashed at a time


class Follower:
    """Adds the bytes of a file to digests, as far as they are written.

    path     the file
    updates  functions that add bytes, one for each digest
    pool     whose threads read and hash
    """

    def __init__(
        self, path: str, updates: list[Callable[[bytes], object]], pool: native_threads.NativePool
    ) -> None:
        self._os = os = threads.original('os')
        self._handle = files.open_plain(path, os.O_RDONLY)
        self._hashed = [0] * len(updates)
        self.stages: list[PipelineStage[tuple[int, int]]] = [
            PipelineStage(functools.partial(self._add, number, update), pool)
            for number, update in enumerate(updates)
        ]

    @property
    def hashed(self) -> int:
        """Bytes that all digests have."""
        return min(self._hashed)

    def follow(self, begin: int, end: int) -> None:
        """Add these bytes, which are written now. Any native thread may call this."""
        for at in range(begin, end, REGION):
            for stage in self.stages:
                stage.put((at, min(REGION, end - at)))

    def close(self) -> None:
        """Close the file as soon as no thread reads it."""
        first, *others = self.stages
        close: Callable[[], object] = lambda: self._os.close(self._handle)  # noqa: E731
        for stage in others:
            close = self._after(stage, close)
        first.call_when_idle(close)

    @staticmethod
    def _after(stage: PipelineStage[Any], function: Callable[[], object]) -> Callable[[], object]:
        return lambda: stage.call_when_idle(function)

    def _add(
        self, number: int, update: Callable[[bytes], object], region: tuple[int, int]
    ) -> None:
        at, size = region
        read = self._os.pread(self._handle, size, at)
        if len(read) != size:
            raise errors.StagingChanged
        update(read)
        self._hashed[number] = at + size
