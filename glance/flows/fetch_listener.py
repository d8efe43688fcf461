"""What a fetch reports while it runs, and how it learns that it should stop."""

import logging
import time
import typing

from glance import toolbox
from glance.domain.events import Kind
from glance.domain.lease import DatabaseGone, Lease
from glance.image_data.retries import Retry

LOG = logging.getLogger(__name__)

# Retries of one fetch that its task's timeline tells of: a source can cause any number.
MOST_TOLD = 20


class FetchListener:
    """Reports one fetch to the RunControl, the timeline and the log.

    step  the name of the step that fetches

    Each method may end the fetch.
    """

    def __init__(self, lease: Lease, image_id: str, step: str) -> None:
        self._lease = lease
        self._step = step
        self._told = 0
        self._runs = toolbox.current().runs
        self._image_check = _ImageStillImporting(lease, image_id)
        self._received = 0

    def on_progress(self, size: int, *, is_provable: bool) -> None:
        """So many bytes are here.

        is_provable  whether a later claim can use them
        """
        self._runs.show(self._lease, size)
        if is_provable:
            self._runs.progress(self._lease, size)
        elif size > self._received:
            self._runs.progress(self._lease)
        else:
            self._runs.raise_if_stopped(self._lease)
        self._received = size
        self._image_check.look()

    def on_hashed(self) -> None:
        self._runs.progress(self._lease)

    def on_wait(self) -> None:
        self._runs.raise_if_stopped(self._lease)  # waiting for the source is not progress
        self._image_check.look()

    def on_pause(self) -> None:
        # The wait for a retry ends by itself, so it is no stall, however long it is.
        self._runs.progress(self._lease)
        self._image_check.look()

    def on_retry(self, retry: Retry) -> None:
        LOG.warning(
            'Task %s: retry %s of the fetch in %.1f seconds, from %s, because: %s',
            self._lease.task_id,
            retry.number,
            retry.wait,
            retry.source,
            retry.reason,
            extra={'action': 'fetch_retried'},
        )
        self._tell(
            Kind.STEP_RETRIED,
            number=retry.number,
            message=retry.reason,
            source=retry.source,
            wait=round(retry.wait, 1),
        )

    def on_begin_again(self, source: str, received: int) -> None:
        LOG.info(
            'Task %s: %s bytes are staged, but %s does not confirm that its file is still '
            'the same; the fetch begins again',
            self._lease.task_id,
            received,
            source,
            extra={'action': 'fetch_begun_again'},
        )
        self._tell(Kind.STEP_BEGUN_AGAIN, source=source, bytes_lost=received)

    def _tell(self, kind: Kind, **detail: typing.Any) -> None:
        if self._told < MOST_TOLD:
            self._told += 1
            self._lease.events.tell(kind, self._step, **detail)

    def on_resumed(self, offset: int, size: int | None) -> None:
        """The fetch of an earlier claim goes on behind so many bytes."""
        LOG.info(
            'Task %s: the fetch goes on at byte %s of %s',
            self._lease.task_id,
            offset,
            size,
            extra={'action': 'fetch_resumed'},
        )


class _ImageStillImporting:
    """Checks now and then during a fetch whether the image was deleted."""

    INTERVAL = 3.0  # seconds between two checks
    OUTAGE_INTERVAL = 10.0  # the same, after a check that the database did not answer
    MAX_AGE = 1.0  # seconds for which all runs share one reading of the database

    def __init__(self, lease: Lease, image_id: str) -> None:
        self._lease = lease
        self._image_id = image_id
        self._next = time.monotonic() + self.INTERVAL

    def look(self) -> None:
        """Raises ImageGone if the image was deleted."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self.INTERVAL
        try:
            toolbox.current().images.verify_importing(
                self._lease, self._image_id, max_age=self.MAX_AGE
            )
        except DatabaseGone:  # this only asks whether to stop early; the fetch can go on
            self._next = time.monotonic() + self.OUTAGE_INTERVAL
