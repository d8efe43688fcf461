"""The steps of an import: plain do and undo. No engine, no database, no HTTP here.

Steps get their data by name. They take their tools from the toolbox of the process.
"""

import collections.abc
import contextlib
import datetime
import functools
import typing

from glance import toolbox
from glance.domain import errors
from glance.domain.checkpoint import Checkpoint
from glance.domain.checksum import Checksum
from glance.domain.image import Image, Location, Status
from glance.domain.lease import DatabaseGone, Lease, LostLease
from glance.domain.leftover import Leftover
from glance.domain.place import Place
from glance.flows import import_tools, reports
from glance.flows.fetch_listener import FetchListener
from glance.image_data import formats, persistent_source, receiving, sources
from glance.interfaces.flow import Step

Values = dict[str, typing.Any]  # plain data that steps hand on


class CreateRecord(Step):
    """Create the image record with status importing, under the id that the POST has fixed.

    Needs     lease, image_id, owner, properties
    Undo      removes the record if this task made it
    """

    name = 'create-record'

    def do(self, lease: Lease, image_id: str, owner: str, properties: Values) -> None:
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

    def undo(self, lease: Lease, image_id: str) -> None:
        toolbox.current().images.remove(lease, image_id)

    def leftovers(self, image_id: str) -> list[Leftover]:
        return [Leftover('image', image_id)]


class Fetch(Step):
    """Receive the file from one of its sources into the staging folder of this claim.

    Needs     lease, predecessor, import_from (a list of URLs), image_id, properties,
              import_checksum (may be missing)
    Returns   staged: path, size in bytes, checksum (MD5) and os_hash_value
              (SHA-512) in hexadecimal, host and area (the id of its staging area)
    Undo      removes the staging folder of this claim

    Bytes that an earlier claim received are not fetched again if the source
    proves that it still has the same file.
    """

    name = 'fetch'
    moves_bytes = True
    provides = 'staged'
    weight = 60

    def do(
        self,
        lease: Lease,
        predecessor: str | None,
        import_from: list[str],
        image_id: str,
        properties: Values,
        import_checksum: str | None = None,
    ) -> Values:
        tools = toolbox.current()
        expected = Checksum.parse(import_checksum) if import_checksum else None
        disk_format = properties['disk_format']
        listener = FetchListener(lease, image_id, self.name)
        with _take_back(lease, lambda: tools.staging.remove(lease)):
            checkpoint = tools.staging.take_over(
                lease, predecessor, on_progress=lambda _copied: tools.runs.progress(lease)
            )
            path = tools.staging.path(lease)
            source = _source(lease, import_from, disk_format, listener, checkpoint, expected)
            receiver = receiving.Receiver(
                on_progress=lambda size: listener.on_progress(
                    size, is_provable=source.validator is not None
                ),
                on_hashed=listener.on_hashed,
                pool=tools.byte_threads,
                digest=expected.algorithm if expected else None,
            )

            def wrong(result: receiving.FetchResult) -> errors.SourceFailed | None:
                if source.is_encoded and not formats.is_recognized(path, disk_format):
                    return source.encoded_error()
                return _mismatch(expected, result, source.name)

            with contextlib.closing(source):
                source.open()
                tools.runs.show(lease, source.begins_at, source.size)
                if checkpoint is not None and source.begins_at:
                    listener.on_resumed(source.begins_at, source.size)
                elif checkpoint is not None:
                    listener.on_begin_again(source.name, checkpoint.offset)
                copied = persistent_source.receive(source, receiver, path, wrong)
        return {
            'path': path,
            'size': copied.size,
            'checksum': copied.checksum,
            'os_hash_value': copied.os_hash_value,
            **tools.staging.origin,
        }

    def place(self, values: collections.abc.Mapping[str, typing.Any]) -> Place:
        return Place(store=values.get('store'))  # the next steps find the file only there

    def is_reusable(self, given: typing.Any) -> bool:
        return toolbox.current().staging.holds(given)

    def undo(self, lease: Lease) -> None:
        toolbox.current().staging.remove(lease)

    def leftovers(self, lease: Lease) -> list[Leftover]:
        return [Leftover('staging', toolbox.current().staging.folder(lease))]


def _source(
    lease: Lease,
    urls: list[str],
    disk_format: str,
    listener: FetchListener,
    checkpoint: Checkpoint | None,
    expected: Checksum | None,
) -> persistent_source.PersistentSource:
    """The sources of a fetch as one, which is not opened yet."""
    tools = toolbox.current()
    limits = import_tools.current().fetch_limits
    return persistent_source.PersistentSource(
        urls,
        functools.partial(
            sources.open,
            import_filter=tools.import_filter,
            resolver=tools.resolver,
            limits=limits,
            accept_encoded=disk_format not in formats.PLAIN,
            waiting=tools.runs.waiting(lease),
        ),
        limits,
        listener,
        checkpoint=checkpoint,
        is_checked=expected is not None,
        waiting=tools.runs.waiting(lease),
    )


def _mismatch(
    expected: Checksum | None, result: receiving.FetchResult, source: str
) -> errors.ChecksumMismatch | None:
    if expected is None:
        return None
    actual = Checksum(expected.algorithm, result.digests[expected.algorithm])
    if actual == expected:
        return None
    return errors.ChecksumMismatch(source, str(expected), str(actual))


class Check(Step):
    """Compare the staged bytes with the declared disk_format, and refuse unsafe ones.

    Needs     staged, properties
    Returns   virtual_size in bytes
    """

    name = 'check'
    moves_bytes = True
    provides = 'virtual_size'

    def do(self, staged: Values, properties: Values) -> int | None:
        rules = import_tools.current().format_rules
        with _reading(staged):
            inspected: formats.Inspected = formats.inspect(
                staged['path'],
                properties['disk_format'],
                container_format=properties['container_format'],
                vmdk_allowed_types=rules.vmdk_allowed_types,
                require_match=rules.require_match,
                gpt_safety_checks_nonfatal=rules.gpt_safety_checks_nonfatal,
            )
        return inspected.virtual_size

    def place(self, values: collections.abc.Mapping[str, typing.Any]) -> Place:
        return _with_staged(values)


class Store(Step):
    """Put the staged file into a store.

    Needs     lease, predecessor, image_id, staged, store
    Returns   location, a URI; announced before the first byte is written
    Undo      deletes the announced location, whether or not the file exists

    What an earlier claim announced and did not finish is gone on with, or deleted.
    """

    name = 'store'
    moves_bytes = True
    provides = 'location'
    weight = 30

    def do(
        self,
        lease: Lease,
        image_id: str,
        staged: Values,
        store: str,
        predecessor: str | None = None,
    ) -> str:
        tools = toolbox.current()
        place = tools.stores[store]
        url = place.location_of(image_id, lease.number)
        earlier = tools.images.announce(lease, Location(image_id, store, url, 'pending'))
        is_there = tools.staging.wrote_all(predecessor)
        whole = place.location_of(image_id, lease.number - 1) if is_there else None
        for one in earlier:
            if one.store == store and place.take_over(one.url, url, trusted=one.url == whole):
                break
        _delete(lease, earlier)
        with _take_back(lease, lambda: place.delete(url)), _reading(staged):
            report = reports.of_store(lease, staged['size'], place.goes_on)
            place.add(url, staged['path'], on_progress=report)
        tools.runs.show(lease, staged['size'])  # a store that renames reports nothing
        return url

    def place(self, values: collections.abc.Mapping[str, typing.Any]) -> Place:
        return _with_staged(values)

    def undo(self, lease: Lease, image_id: str) -> None:
        _delete(lease, toolbox.current().images.announced(lease, image_id))

    def leftovers(self, lease: Lease, image_id: str) -> list[Leftover]:
        announced = toolbox.current().images.announced(lease, image_id)
        return [Leftover('location', one.url, one.store) for one in announced]


def _with_staged(values: collections.abc.Mapping[str, typing.Any]) -> Place:
    """Where the staged file is, and the store for it can be reached."""
    staged = values['staged']
    return Place(staged.get('area'), values.get('store'), staged.get('host'))


@contextlib.contextmanager
def _reading(staged: Values) -> collections.abc.Iterator[None]:
    """Raises StagingChanged, whatever the block says, if the staged file is not whole after it."""
    holds = toolbox.current().staging.holds
    try:
        yield
    except Exception as error:
        if holds(staged):
            raise
        raise errors.StagingChanged from error
    if not holds(staged):
        raise errors.StagingChanged


def _delete(lease: Lease, announced: collections.abc.Iterable[Location]) -> None:
    """Delete the bytes of announced locations, and then their rows."""
    tools = toolbox.current()
    for location in announced:
        tools.stores.of(location).delete(location.url)
        tools.images.withdraw(lease, location)


@contextlib.contextmanager
def _take_back(
    lease: Lease, take_back: collections.abc.Callable[[], None]
) -> collections.abc.Iterator[None]:
    """Delete the file that the block makes if the disk is full or the lease is lost.

    On a full disk, the database may need the room to record the failure. After
    losing its lease, a run that was suspended may make its file when a later
    claim has already cleaned up. Deleting is safe: no other claim uses this file
    name, and later claims only use files of steps that have finished.
    """
    check = toolbox.current().queue.verify_lease
    try:
        try:
            yield
        except Exception:
            check(lease)  # without its lease, a run may fail because its files are gone
            raise
        with contextlib.suppress(DatabaseGone):  # the next write verifies the lease again
            check(lease)
    except (errors.StorageFull, LostLease):
        take_back()
        raise


class Finish(Step):
    """The one commit: image active, location real, task success.

    Needs     lease, image_id, staged, virtual_size, location
    Undo      nothing: a commit is final, and without a commit nothing is written
    """

    name = 'finish'
    commits = True

    def do(
        self, lease: Lease, image_id: str, staged: Values, virtual_size: int | None, location: str
    ) -> None:
        tools = toolbox.current()
        facts = {
            'size': staged['size'],
            'virtual_size': virtual_size,
            'checksum': staged['checksum'],
            'os_hash_algo': 'sha512',
            'os_hash_value': staged['os_hash_value'],
        }
        tools.queue.finish(
            lease,
            {'image_id': image_id},
            [tools.images.activation(lease, image_id, location, facts)],
        )
