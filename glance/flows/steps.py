"""The steps of an import: plain do and undo. No engine, no database, no HTTP here.

Data travels by name, tools are taken from the toolbox of the process.
"""

import contextlib
import datetime
import logging
import os
import time

from glance import toolbox
from glance.domain import errors
from glance.domain.image import Image, Location, Status
from glance.domain.lease import LostLease
from glance.domain.leftover import Leftover
from glance.image_data import copying, formats, sources
from glance.interfaces import Step

LOG = logging.getLogger(__name__)


class CreateRecord(Step):
    """Make the image record, importing, under the id fixed at POST.

    Needs     lease, image_id, owner, properties
    Undo      removes the record if this task made it
    """

    name = 'create-record'

    def do(self, lease, image_id, owner, properties):
        at = datetime.datetime.now(datetime.UTC)
        toolbox.current().images.create(
            lease,
            Image(
                id=image_id,
                owner=owner,
                status=Status.IMPORTING,
                created_at=at,
                updated_at=at,
                created_by_task=lease.task_id,
                **properties,
            ),
        )

    def undo(self, lease, image_id):
        toolbox.current().images.remove(lease, image_id)

    def leaves(self, image_id):
        return [Leftover('image', image_id)]


class Fetch(Step):
    """Receive the source into the staging folder of this claim.

    Needs     lease, predecessor, import_from, image_id
    Gives     staged: path, size in bytes, checksum (MD5) and os_hash_value
              (SHA-512) in hexadecimal
    Undo      removes the staging folder of this claim

    What an earlier claim received is not fetched again if the source proves
    that the file is the same.
    """

    name = 'fetch'
    gives = 'staged'

    def do(self, lease, predecessor, import_from, image_id):
        tools = toolbox.current()
        wanted = _WantedStill(lease, image_id)

        def on_progress(received):
            tools.runs.progress(lease, received)
            wanted.look()

        def on_wait():
            tools.runs.check(lease)  # a silent source is no progress
            wanted.look()

        with _let_go(lease, lambda: tools.staging.remove(lease)):
            checkpoint, received = _taken_over(lease, predecessor, on_progress)
            path = tools.staging.path(lease)
            with sources.open(
                import_from,
                tools.import_filter,
                tools.resolver,
                on_wait=on_wait,
                checkpoint=checkpoint,
                **vars(tools.fetch_limits),
            ) as source:
                if checkpoint is not None:
                    _log_taking_up(lease, checkpoint, source)
                copied = copying.receive(
                    source,
                    path,
                    on_progress=on_progress,
                    pool=tools.byte_threads,
                    received=received,
                )
        return {
            'path': path,
            'size': copied.size,
            'checksum': copied.checksum,
            'os_hash_value': copied.os_hash_value,
        }

    def holds(self, given):
        return _is_whole(given)

    def undo(self, lease):
        toolbox.current().staging.remove(lease)

    def leaves(self, lease):
        return [Leftover('staging', toolbox.current().staging.folder(lease))]


def _taken_over(lease, predecessor, on_progress):
    """The Checkpoint of an earlier claim, and the digests up to it; or None, None."""
    tools = toolbox.current()
    checkpoint = tools.staging.take_over(
        lease, predecessor, on_progress=lambda _copied: tools.runs.progress(lease)
    )
    if checkpoint is None:
        return None, None
    try:
        received = copying.read_again(
            tools.staging.path(lease),
            checkpoint.offset,
            on_progress=on_progress,
            pool=tools.byte_threads,
        )
    except OSError as error:
        LOG.warning('Task %s: its staged bytes cannot be read: %s', lease.task_id, error)
        received = None
    return (checkpoint, received) if received else (None, None)


def _log_taking_up(lease, checkpoint, source):
    if source.begins_at:
        LOG.info(
            'Task %s: the fetch goes on at byte %s of %s',
            lease.task_id,
            source.begins_at,
            source.size,
            extra={'action': 'fetch_resumed'},
        )
    else:
        LOG.info(
            'Task %s: %s bytes are here, but %s does not say that they are of the same file; '
            'the fetch begins again',
            lease.task_id,
            checkpoint.offset,
            source.name,
            extra={'action': 'fetch_begun_again'},
        )


class Check(Step):
    """Compare the staged bytes with the declared disk_format, and refuse unsafe ones.

    Needs     staged, properties
    Gives     virtual_size in bytes
    """

    name = 'check'
    gives = 'virtual_size'

    def do(self, staged, properties):
        rules = toolbox.current().format_rules
        inspected = formats.inspect(
            staged['path'],
            properties['disk_format'],
            container_format=properties['container_format'],
            vmdk_allowed_types=rules.vmdk_allowed_types,
            require_match=rules.require_match,
            gpt_safety_checks_nonfatal=rules.gpt_safety_checks_nonfatal,
        )
        return inspected.virtual_size


class Store(Step):
    """Put the staged file into a store.

    Needs     lease, image_id, staged, store
    Gives     location, a URI; announced before the first byte
    Undo      deletes what was announced, whether or not it came to be

    What an earlier claim announced and did not end is deleted first.
    """

    name = 'store'
    gives = 'location'

    def do(self, lease, image_id, staged, store):
        tools = toolbox.current()
        if not _is_whole(staged):
            raise errors.StagingChanged
        place = tools.stores[store]
        url = place.location_of(image_id, lease.number)
        _delete(lease, tools.images.announce(lease, Location(image_id, store, url, 'pending')))
        with _let_go(lease, lambda: place.delete(url)):
            place.add(
                url, staged['path'], on_progress=lambda stored: tools.runs.progress(lease, stored)
            )
        return url

    def undo(self, lease, image_id):
        _delete(lease, toolbox.current().images.announced(lease, image_id))

    def leaves(self, lease, image_id):
        announced = toolbox.current().images.announced(lease, image_id)
        return [Leftover('location', one.url, one.store) for one in announced]


def _is_whole(staged):
    """Whether the staged file is there, as large as it was received."""
    try:
        return os.stat(staged['path'], follow_symlinks=False).st_size == staged['size']
    except OSError:
        return False


def _delete(lease, announced):
    """Delete the bytes of announced locations, and then say that they are gone."""
    tools = toolbox.current()
    for location in announced:
        tools.stores[location.store].delete(location.url)
        tools.images.withdraw(lease, location)


@contextlib.contextmanager
def _let_go(lease, take_back):
    """Take back what a run makes that has no room for it, or no lease any more.

    No room: the database may need it, to note the failure. No lease: a run that
    was stopped for long makes its file after a later claim has tidied up. The
    name of the file is this claim's alone, and only what a remembered step gave
    is used by later ones.
    """
    check = toolbox.current().queue.check
    try:
        try:
            yield
        except Exception:
            check(lease)  # who lost it may find nothing as he left it
            raise
        check(lease)
    except (errors.StorageFull, LostLease):
        take_back()
        raise


class _WantedStill:
    """Looks every few seconds whether the image was deleted, while bytes come."""

    SECONDS = 3.0
    WITHIN = 1.0  # seconds for which a reading of the database serves all runs

    def __init__(self, lease, image_id):
        self._lease = lease
        self._image_id = image_id
        self._looked = time.monotonic()

    def look(self):
        """Raises ImageGone."""
        if time.monotonic() - self._looked >= self.SECONDS:
            self._looked = time.monotonic()
            toolbox.current().images.check(self._lease, self._image_id, within=self.WITHIN)


class Finish(Step):
    """The one commit: image active, location real, task success.

    Needs     lease, image_id, staged, virtual_size, location
    Undo      nothing: what is committed stands, what is not needs none
    """

    name = 'finish'
    commits = True

    def do(self, lease, image_id, staged, virtual_size, location):
        toolbox.current().queue.finish(
            lease,
            image_id,
            location,
            {
                'size': staged['size'],
                'virtual_size': virtual_size,
                'checksum': staged['checksum'],
                'os_hash_algo': 'sha512',
                'os_hash_value': staged['os_hash_value'],
            },
        )
