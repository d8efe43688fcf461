"""A source that does not give up: it asks again after errors that may pass, and asks mirrors.

To the receiver it looks like one source that never breaks. Where the next connection
is known to go on with the same file, the receiver notices nothing; elsewhere read()
raises BeginAgain, and the file is received from its first byte.

What may be put together from several responses:

    from one source         if it proves by its validator (a strong ETag, or a Last-Modified)
                            that the file is still the same
    from several sources    if all name the same strong ETag and the same size
    from any of them        if the import has a checksum, which is compared at the end
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from glance import interrupts
from glance.domain import errors
from glance.domain.checkpoint import Checkpoint, Rest
from glance.domain.fetch_limits import FetchLimits
from glance.image_data import transfer_limits
from glance.image_data.mirrors import Mirror
from glance.image_data.receiving import BeginAgain, FetchResult, Receiver
from glance.image_data.retries import Listener, Retry, in_words
from glance.image_data.source_request import UNCOUNTED
from glance.image_data.sources import Source

# Longest time in seconds in which a wait for the next try does not look whether to go on.
TICK = 0.5


class Connect(Protocol):
    """Opens a source; sources.open with the arguments that all sources have in common."""

    def __call__(
        self, url: str, *, rest: Rest | None, until: float, on_wait: Callable[[], object]
    ) -> Source: ...


class PersistentSource:
    """The file that an import names, from whichever source sends it.

    urls        the sources, in the order in which they are asked
    connect     opens one of them
    limits      the operator's limits
    checkpoint  says which bytes an earlier claim has received
    is_checked  whether the caller knows the checksum of the file, and calls reject() if
                it is not right
    waiting     the context of each wait for the next try; it is entered again and again

    It is a ByteSource. name is the masked URL that is received now.
    """

    def __init__(
        self,
        urls: Sequence[str],
        connect: Connect,
        limits: FetchLimits,
        listener: Listener,
        *,
        checkpoint: Checkpoint | None = None,
        is_checked: bool = False,
        waiting: contextlib.AbstractContextManager[None] = UNCOUNTED,
    ) -> None:
        self.size: int | None = None
        self.validator: str | None = None
        self.begins_at = 0
        self.is_encoded = False
        self._connect = connect
        self._limits = limits
        self._listener = listener
        self._is_checked = is_checked
        self._waiting = waiting
        self._mirrors = [Mirror(number, url) for number, url in enumerate(urls)]
        self._asked = self._mirrors[0]  # is asked now, or sends
        self._given_by = self._asked  # gave the validator
        self._source: Source | None = None
        self._broken: errors.SourceFailed | None = None  # what the next read() has to handle
        self._until = transfer_limits.end(limits.total_timeout)
        self._received = 0  # bytes of the file that are here
        self._responses = 0  # from which these bytes are
        self._is_whole_only = False  # nothing is put together any more
        self._is_further = False  # whether this try brought a new byte
        self._began = self._progress_at = time.monotonic()  # when the last new byte came
        self._tries = 0  # since then
        self._retries = 0  # of the whole fetch
        if checkpoint is not None:
            if checkpoint.mirror < len(self._mirrors):
                self._asked = self._given_by = self._mirrors[checkpoint.mirror]
            self._received, self._responses = checkpoint.offset, 1
            self.size, self.validator = checkpoint.size, checkpoint.validator

    def open(self) -> None:
        """Connect to the first source that sends the file. Raises a SourceFailed."""
        self._open()
        self.begins_at = self._received

    def close(self) -> None:
        """Close the connection. Idempotent."""
        if self._source is not None:
            self._source.close()

    @property
    def name(self) -> str:
        return self._asked.name

    @property
    def mirror(self) -> int:
        return self._given_by.number

    def read(self, most: int) -> bytes | None:
        """The bytes that have arrived, at most `most` of them; b'' at the end.

        None if the source broke: the next call waits and tries again. It raises BeginAgain
        if the file must be received from its first byte, and a SourceFailed
        if no source sends it.
        """
        if self._broken is not None:
            error, self._broken = self._broken, None
            self._try_again(error, is_lasting=error.lasting)
        assert self._source is not None
        try:
            piece = self._source.read(most)
        except errors.SourceFailed as error:
            self._source.close()
            self._broken = error
            return None
        if piece:
            self._received += len(piece)
            if self._received > self._asked.best:
                self._asked.renew(self._received)
                self._tries = 0
                self._is_further = True
                self._progress_at = time.monotonic()
        return piece

    def pause(self, seconds: float) -> None:
        """Do not read for some seconds. They count as time in which the source was waited for."""
        assert self._source is not None
        try:
            self._source.pause(seconds)
        except errors.SourceFailed as error:
            self._broken = error

    def reject(self, error: errors.SourceFailed) -> None:
        """The whole file is here, and is not what it should be: go on to the next source.

        If the file was put together from several responses, its source is asked for all
        of it first. When this returns, the file is to be received from its first byte.
        Raises a SourceFailed if no source is left.
        """
        self.close()
        was_put_together, self._is_whole_only = self._responses > 1, True
        for mirror in self._mirrors:
            mirror.best = 0
        with contextlib.suppress(BeginAgain):
            self._try_again(error, is_lasting=not was_put_together)

    def encoded_error(self) -> errors.SourceBadResponse:
        """The error of a source that sent an encoded file."""
        assert self._source is not None
        return self._source.encoded_error()

    def _try_again(self, error: errors.SourceFailed, *, is_lasting: bool) -> None:
        """Connect again after an error. Raises BeginAgain if the file is sent from its begin."""
        received = self._received
        self._choose(error, is_lasting=is_lasting)
        self._open()
        if self._received != received:
            self.begins_at = 0
            self._listener.on_begin_again(self.name, received)
            raise BeginAgain

    def _open(self) -> None:
        """Ask source after source until one sends."""
        while True:
            try:
                source = self._connect(
                    self._asked.url,
                    rest=self._rest(),
                    until=self._until,
                    on_wait=self._listener.on_wait,
                )
            except errors.SourceFailed as error:
                self._choose(error, is_lasting=error.lasting)
            else:
                self._use(source)
                return

    def _use(self, source: Source) -> None:
        if source.begins_at == 0:
            self._received = self._responses = 0
        self._responses += 1
        self._given_by = self._asked
        self._source = source
        self.size, self.validator = source.size, source.validator
        self.is_encoded = source.is_encoded

    def _rest(self) -> Rest | None:
        """What the next source is asked for; None: for the whole file."""
        is_all = self._received in (0, self.size)
        if is_all or self._is_whole_only:
            return None
        if self.validator and self._asked is self._given_by:
            return Rest(self._received, self.size, self.validator)
        if self._is_checked:
            return Rest(self._received, self.size, None)
        if self.validator and self.validator.startswith('"') and self.size is not None:
            return Rest(self._received, self.size, self.validator, is_shown=True)
        return None

    def _choose(self, error: errors.SourceFailed, *, is_lasting: bool) -> None:
        """Decide which source is asked next, and wait until it may be asked.

        A source that has just sent new bytes is asked again: it works. Otherwise it is the
        turn of the next one. Raises a SourceFailed if no further try makes sense.
        """
        self._tries += 1
        self._asked.note(error, self._limits, is_lasting=is_lasting)
        if isinstance(error, errors.FetchTooLong):
            raise error
        now = time.monotonic()
        end = self._progress_at + self._limits.retry_timeout
        following = self._following(now, is_over=now >= end)
        if following is None:
            raise self._final(error)
        wait = max(0.0, min(following.ready_at, end) - now)
        if now + wait >= self._until:
            raise errors.FetchTooLong(self.name, self._limits.total_timeout)
        self._asked = following
        self._is_further = False
        self._retries += 1
        self._listener.on_retry(Retry(self._retries, str(error), self.name, wait))
        self._wait(wait)

    def _following(self, now: float, *, is_over: bool) -> Mirror | None:
        """The source to ask next, or None.

        is_over  the time for retries is over: only sources that have not been tried are asked
        """
        usable = [one for one in self._mirrors if not one.is_out]
        if is_over and self._tries > 1:
            usable = [one for one in usable if one.error is None]
        if self._is_further and self._asked in usable:
            return self._asked
        count, last = len(self._mirrors), self._asked.number

        def turn(one: Mirror) -> tuple[float, int]:
            return max(one.turn_at, now), (one.number - last - 1) % count

        return min(usable, key=turn, default=None)

    def _wait(self, seconds: float) -> None:
        """Wait for the next try, and look whether to go on."""
        until = time.monotonic() + seconds
        self._listener.on_pause()
        while (left := until - time.monotonic()) > 0:
            with self._waiting:
                interrupts.sleep(min(left, TICK))
            self._listener.on_pause()

    def _final(self, error: errors.SourceFailed) -> errors.SourceFailed:
        """The error with which the fetch ends."""
        mirrors, tries = self._mirrors, self._retries + 1
        if tries == len(mirrors) == 1:
            return error
        now = time.monotonic()
        taken, trouble = in_words(now - self._began), in_words(now - self._progress_at)
        tried = f'tried {tries} times in {taken}'
        if trouble != taken:
            tried += f', without a new byte in the last {trouble}'
        if len(mirrors) == 1:
            return errors.SourcesGivenUp(f'{self._asked.said}; {tried}.')
        said = '; '.join(one.said for one in mirrors if one.error is not None)
        return errors.SourcesGivenUp(
            f'None of the {len(mirrors)} sources sent the whole file; {tried}. '
            f'The last errors: {said}.'
        )


def receive(
    source: PersistentSource,
    receiver: Receiver,
    path: str,
    verify: Callable[[FetchResult], errors.SourceFailed | None],
) -> FetchResult:
    """Receive a source that was opened, until the whole file is here and is right.

    verify  verify(result) returns what is wrong with a file, or None

    Raises as Receiver.receive() does.
    """
    while True:
        try:
            result = receiver.receive(source, path)
        except BeginAgain:
            continue
        wrong = verify(result)
        if wrong is None:
            return result
        source.reject(wrong)
