"""A fetch that was cut off goes on: what is noted, what is taken over, what is asked for."""

import hashlib
import os
import time

import pytest

from glance import native_threads, threads
from glance.domain import errors
from glance.domain.checkpoint import Checkpoint, Rest
from glance.domain.fetch_limits import FetchLimits
from glance.domain.import_filter import ImportFilter
from glance.domain.lease import Drop, HandBack, Lease, LostLease
from glance.image_data import checkpoints, files, follower, receiving, response_headers, sources
from glance.image_data.receiving import CHUNK, Pace
from glance.image_data.staging import FolderStaging
from glance.testing.source_server import Answer, Raw, SourceServer

TASK = '0d5f9d3e-8f0e-4d75-8e2b-6d1b2f3c4a5e'
TAG = '"v1"'
SIZE = 7 * CHUNK + 5
BODY = os.urandom(SIZE)
# Only bytes count here, however slow the machine is.
PACE = Pace(checkpoint_interval=2 * CHUNK, progress_interval=3600)


def receive(source, path, **options):
    return receiving.Receiver(**({'pace': PACE} | options)).receive(source, path)


@pytest.fixture
def pool():
    made = native_threads.NativePool(3, 'bytes')
    yield made
    made.stop()


@pytest.fixture
def quick_pool():
    """Who waits for it looks often whether to go on."""
    made = native_threads.NativePool(3, 'bytes', tick=0.01)
    yield made
    made.stop()


class Sent:
    """A source of the body, from a byte on, that breaks or ends."""

    mirror = 0

    def __init__(self, begins_at=0, *, until=SIZE, validator=TAG, then=None, await_=None):
        self.begins_at = self._at = begins_at
        self.size = SIZE
        self.validator = validator
        self._until = until
        self._then = then
        self._await = await_

    def read(self, most):
        piece = BODY[self._at : min(self._at + most, self._until)]
        self._at += len(piece)
        if not piece and self._await is not None:
            self._await()
        if not piece and self._then is not None:
            raise self._then
        return piece


def cut_off(path, pool, *, disk=files.DISK, **options):
    """Receive until the source breaks; returns the Checkpoint that stands then."""
    error = options.setdefault('then', errors.SizeMismatch(2, 1))
    if not isinstance(error, Drop) and options['until'] > PACE.checkpoint_interval:
        # The first one comes earlier; an error can overtake the next one on its way to the disk.
        options['await_'] = lambda: noted(path, PACE.checkpoint_interval)
    with pytest.raises(type(error)):
        receive(Sent(**options), path, on_progress=lambda _size: None, pool=pool, disk=disk)
    return checkpoints.read(path)


def noted(path, offset=0):
    """Wait for a checkpoint at this offset or a later one."""
    end = time.monotonic() + 10
    while (found := checkpoints.read(path)) is None or found.offset < offset:
        assert time.monotonic() < end, f'no checkpoint from {offset} on'
        time.sleep(0.001)


def whole(result, path):
    with open(path, 'rb') as file:
        assert file.read() == BODY
    assert result.size == SIZE
    assert result.checksum == hashlib.md5(BODY, usedforsecurity=False).hexdigest()
    assert result.os_hash_value == hashlib.sha512(BODY).hexdigest()
    return True


# ------------------------------------------------------------------ what is noted


def test_a_checkpoint_stands_behind_what_is_durable(tmp_path, pool):
    synced = []

    class Noted(files.Disk):
        def sync(self, handle):
            synced.append(os.fstat(handle).st_size)
            super().sync(handle)

    found = cut_off(str(tmp_path / 'image'), pool, disk=Noted(), until=5 * CHUNK)
    assert found == Checkpoint(found.offset, SIZE, TAG)
    assert PACE.checkpoint_interval <= found.offset <= 5 * CHUNK
    assert synced
    assert max(synced) >= found.offset


def test_without_proof_or_without_much_nothing_is_noted(tmp_path, pool):
    assert cut_off(str(tmp_path / 'a'), pool, until=CHUNK, validator=None) is None
    path = str(tmp_path / 'c')
    with pytest.raises(HandBack):
        receive(
            Sent(until=5 * CHUNK, validator=None, then=HandBack()),
            path,
            on_progress=lambda _size: None,
            pool=pool,
        )
    assert checkpoints.read(path) is None
    assert cut_off(str(tmp_path / 'b'), pool, until=CHUNK - 1) is None


def test_what_is_handed_back_is_noted_to_the_byte(tmp_path, pool):
    path = str(tmp_path / 'image')
    found = cut_off(path, pool, until=3 * CHUNK + 7, then=HandBack())
    assert found.closed
    assert found.offset == os.path.getsize(path) > 0


def test_of_a_whole_file_that_is_handed_back_a_byte_is_asked_for(tmp_path, quick_pool):
    """A source answers a question for nothing with an error."""
    path = str(tmp_path / 'image')
    written, handed_back = (threads.original('threading').Event() for _ in range(2))

    def on_progress(_size):
        if written.is_set():
            handed_back.set()
            raise HandBack

    class SyncsLater(files.Disk):
        def sync(self, handle):
            if os.fstat(handle).st_size == SIZE:
                written.set()
                handed_back.wait(20)
            super().sync(handle)

    with pytest.raises(HandBack):
        receive(Sent(), path, on_progress=on_progress, pool=quick_pool, disk=SyncsLater())
    assert checkpoints.read(path) == Checkpoint(SIZE - 1, SIZE, TAG, closed=True)


def test_what_is_handed_back_without_a_lease_is_not_noted(tmp_path, pool):
    lost = cut_off(str(tmp_path / 'lost'), pool, until=CHUNK - 1, then=LostLease())
    assert lost is None


def test_a_fetch_that_begins_again_forgets_first(tmp_path, pool):
    path = str(tmp_path / 'image')
    assert cut_off(path, pool, until=5 * CHUNK) is not None
    assert cut_off(path, pool, until=CHUNK - 1) is None


@pytest.mark.parametrize(
    'text',
    [
        '',
        '{',
        '[]',
        '{"offset": 5}',
        '{"offset": "5", "size": null, "validator": "x"}',
        '{"offset": 0, "size": null, "validator": "x"}',
        '{"offset": true, "size": null, "validator": "x"}',
        '{"offset": 5, "size": -1, "validator": "x"}',
        '{"offset": 5, "size": null, "validator": 5}',
        '{"offset": 5, "size": null, "validator": "x", "closed": 1}',
        '{"offset": 5, "size": null, "validator": "x", "more": 1}',
        '{"offset": 5, "size": null, "validator": "x\\r\\nHost: y"}',
        '{"offset": 5, "size": null, "validator": "x\\u0000"}',
        '{"offset": 5, "size": null, "validator": "\\u20ac"}',
        '{"offset": 5, "size": null, "validator": ""}',
        '[' * 4090,
    ],
)
def test_what_is_no_checkpoint_is_none(tmp_path, text):
    (tmp_path / 'image.checkpoint').write_text(text)
    assert checkpoints.read(str(tmp_path / 'image')) is None


@pytest.mark.parametrize('make', [os.mkfifo, os.mkdir, lambda path: os.symlink('/etc', path)])
def test_what_is_no_plain_file_is_no_checkpoint_and_no_image(tmp_path, pool, make):
    make(f'{tmp_path}/image.checkpoint')
    assert checkpoints.read(str(tmp_path / 'image')) is None
    make(f'{tmp_path}/image')
    with pytest.raises((OSError, errors.GlanceError)):
        goes_on(str(tmp_path / 'image'), pool, 5)


def test_a_file_that_has_another_name_is_not_gone_on_with(tmp_path, pool):
    (tmp_path / 'elsewhere').write_bytes(b'precious')
    os.link(tmp_path / 'elsewhere', tmp_path / 'image')
    with pytest.raises(OSError, match='Not a regular file with only one name'):
        goes_on(str(tmp_path / 'image'), pool, 5)
    assert (tmp_path / 'elsewhere').read_bytes() == b'precious'


def goes_on(path, pool, begins_at, **options):
    return receive(Sent(begins_at), path, on_progress=lambda _size: None, pool=pool, **options)


# ------------------------------------------------------------------ what is gone on with


def test_what_is_here_is_hashed_again_and_only_the_rest_received(tmp_path, pool):
    path = str(tmp_path / 'image')
    found = cut_off(path, pool, until=5 * CHUNK)
    assert whole(goes_on(path, pool, found.offset), path)


def test_the_rest_is_written_before_what_is_here_is_hashed(tmp_path, quick_pool):
    """However much is here: a life that is too short to hash it gets further all the same."""
    path = str(tmp_path / 'image')
    found = cut_off(path, quick_pool, until=5 * CHUNK)
    all_written = threads.original('threading').Event()
    hashed = []

    class Waiting(follower.Follower):
        def _add(self, number, update, region):
            all_written.wait(20)
            hashed.append(region)
            super()._add(number, update, region)

    class Watched(files.Disk):
        def write_all(self, handle, data):
            super().write_all(handle, data)
            if os.fstat(handle).st_size == SIZE:
                assert hashed == []
                all_written.set()

    result = goes_on(path, quick_pool, found.offset, disk=Watched(), following=Waiting)
    assert whole(result, path)
    assert hashed


def test_hashing_that_goes_on_is_told_apart_from_a_disk_that_hangs(tmp_path, quick_pool):
    path = str(tmp_path / 'image')
    found = cut_off(path, quick_pool, until=5 * CHUNK)
    hangs, goes = (threads.original('threading').Event() for _ in range(2))
    told = []

    class Hanging(follower.Follower):
        def _add(self, number, update, region):
            if region[0] >= 2 * CHUNK and not hangs.is_set():
                hangs.set()
                goes.wait(20)
            super()._add(number, update, region)

    def on_progress(size):
        if hangs.is_set() and told.append(size) is None and told.count(SIZE) > 5:
            goes.set()

    result = receive(
        Sent(found.offset),
        path,
        on_progress=on_progress,
        on_hashed=lambda: told.append('hashed'),
        pool=quick_pool,
        following=Hanging,
    )
    assert whole(result, path)
    assert told.count(SIZE) > 5  # as long as it hung


def test_a_source_that_sends_all_again_is_received_from_the_first_byte(tmp_path, pool):
    path = str(tmp_path / 'image')
    assert cut_off(path, pool, until=5 * CHUNK)
    assert whole(goes_on(path, pool, 0), path)


def test_a_file_that_has_lost_bytes_is_of_no_use(tmp_path, pool):
    (tmp_path / 'image').write_bytes(b'bits')
    with pytest.raises(errors.StagingChanged):
        goes_on(str(tmp_path / 'image'), pool, 5)


def test_the_first_checkpoint_comes_with_the_second_mib(tmp_path, pool):
    path = str(tmp_path / 'image')
    found = cut_off(path, pool, until=2 * CHUNK, await_=lambda: noted(path))
    assert CHUNK <= found.offset <= 2 * CHUNK


# ------------------------------------------------------------------ what is taken over


def staged(staging, number, bits=b'bits', offset=3, closed=False):
    path = staging.path(Lease(TASK, number))
    with open(path, 'wb') as file:
        file.write(bits)
    checkpoints.write(path, Checkpoint(offset, None, TAG, closed))
    return os.stat(path).st_ino


def taken(root, number):
    folder = root / TASK / str(number)
    return (folder / 'image').stat().st_ino, (folder / 'image').read_bytes()


@pytest.fixture
def root(tmp_path):
    return tmp_path / 'staging'


@pytest.fixture
def staging(root):
    return FolderStaging(str(root), lambda owner: owner == 'dead')


@pytest.mark.parametrize(('owner', 'closed'), [('dead', False), (None, True)])
def test_the_folder_of_who_writes_no_more_is_renamed(staging, root, owner, closed):
    inode = staged(staging, 4, closed=closed)
    assert staging.take_over(Lease(TASK, 5), owner).offset == 3
    assert taken(root, 5) == (inode, b'bit')
    assert os.listdir(root / TASK) == ['5']


def test_what_a_process_wrote_that_died_since_the_start_of_the_host_is_all_used(root):
    staging = FolderStaging(str(root), lambda _owner: True, lambda owner: owner == 'here')
    staged(staging, 4)
    assert staging.take_over(Lease(TASK, 5), 'here') == Checkpoint(3, None, TAG)
    staged(staging, 6, bits=b'many bits', offset=3)
    # It may be the whole file, and of a whole file the last byte is asked for again.
    assert staging.take_over(Lease(TASK, 7), 'here') == Checkpoint(8, None, TAG)
    assert taken(root, 7)[1] == b'many bits'


def test_what_was_written_before_the_host_was_started_is_cut_off(staging, root):
    staged(staging, 4, bits=b'many bits', offset=3)
    assert staging.take_over(Lease(TASK, 5), 'dead').offset == 3
    assert taken(root, 5)[1] == b'man'


@pytest.mark.parametrize(('owner', 'closed'), [('alive', False), (None, False), ('alive', True)])
def test_what_somebody_may_write_to_is_copied_up_to_its_checkpoint(staging, root, owner, closed):
    inode = staged(staging, 4, closed=closed)
    with open(root / TASK / '4' / 'image', 'ab') as late:
        found = staging.take_over(Lease(TASK, 5), owner)
        late.write(b'late')
    assert found.offset == 3
    assert Checkpoint(3, None, TAG) == checkpoints.read(staging.path(Lease(TASK, 5)))
    assert taken(root, 5)[0] != inode
    assert taken(root, 5)[1] == b'bit'
    assert os.listdir(root / TASK) == ['5']  # whoever writes to the other has it open


def test_of_a_claim_before_the_last_nothing_is_known_so_it_is_copied(staging, root):
    inode = staged(staging, 2)
    staging.path(Lease(TASK, 4))
    assert staging.take_over(Lease(TASK, 5), 'dead').offset == 3
    assert taken(root, 5)[0] != inode
    assert taken(root, 5)[1] == b'bit'


def test_a_file_that_was_handed_back_once_is_not_taken_for_it_for_ever(staging, root):
    """The claim that took it over writes to it, and may leave without a hand-back."""
    inode = staged(staging, 4, closed=True)
    staging.take_over(Lease(TASK, 5), None)
    assert taken(root, 5)[0] == inode
    assert staging.take_over(Lease(TASK, 6), None).offset == 3
    assert taken(root, 6)[0] != inode


def test_a_folder_that_is_a_link_is_not_taken(staging, root, tmp_path):
    staged(staging, 4)
    (root / TASK / '4').rename(tmp_path / 'outside')
    (root / TASK / '4').symlink_to(tmp_path / 'outside')
    assert staging.take_over(Lease(TASK, 5), 'dead') is None
    assert (tmp_path / 'outside' / 'image').read_bytes() == b'bits'


def test_without_a_checkpoint_room_is_made_too(staging, root):
    with open(staging.path(Lease(TASK, 4)), 'wb') as file:
        file.write(b'bits')
    assert staging.take_over(Lease(TASK, 5), 'dead') is None
    assert os.listdir(root / TASK) == []


def test_what_is_of_no_use_makes_room(staging, root):
    staged(staging, 3)
    staged(staging, 4, offset=9)
    assert staging.take_over(Lease(TASK, 5), 'alive') is None
    assert set(os.listdir(root / TASK)) <= {'5'}


def test_a_file_shorter_than_its_checkpoint_is_left(staging, root):
    staged(staging, 4, offset=9)
    assert staging.take_over(Lease(TASK, 5), 'alive') is None


def test_without_a_checkpoint_there_is_nothing_to_take(staging):
    assert staging.take_over(Lease(TASK, 5), None) is None
    with open(staging.path(Lease(TASK, 4)), 'wb') as file:
        file.write(b'bits')
    staged(staging, 6)
    assert staging.take_over(Lease(TASK, 5), 'dead') is None


def test_a_drop_ends_the_copy_and_leaves_what_was_there(staging, root, quick_pool):
    staged(staging, 4)
    begun, goes_on = (threads.original('threading').Event() for _ in range(2))

    class Slow(files.Disk):
        def copy_range(self, source, target, most):
            begun.set()
            goes_on.wait(10)
            return most

    def on_progress(_copied):
        if begun.is_set():
            raise HandBack

    slow = FolderStaging(str(root), disk=Slow(), pool=quick_pool)
    with pytest.raises(HandBack):
        slow.take_over(Lease(TASK, 5), 'alive', on_progress=on_progress)
    goes_on.set()
    assert staging.take_over(Lease(TASK, 6), 'dead').offset == 3
    assert taken(root, 6)[1] == b'bit'


# ------------------------------------------------------------------ what is asked for


@pytest.fixture
def web():
    with SourceServer() as server:
        yield server


def opened(web, checkpoint, path='/a'):
    class Names:
        def addresses(self, host, port):
            return []

    return sources.open(
        web.url + path,
        ImportFilter(allowed_hosts=['127.0.0.1'], allowed_ports=[web.port]),
        Names(),
        FetchLimits(connect_timeout=5, read_timeout=5, size_cap=1000),
        rest=checkpoint and Rest(checkpoint.offset, checkpoint.size, checkpoint.validator),
    )


def rest_of(source):
    with source:
        return source.begins_at, b''.join(iter(lambda: source.read(65536), b''))


def part(first, last, size, body=b'ts', **headers):
    return Answer(
        body,
        206,
        [
            ('Content-Range', f'bytes {first}-{last}/{size}'),
            *((name.replace('_', '-'), value) for name, value in headers.items()),
        ],
    )


def test_the_rest_of_the_same_file_is_sent(web):
    web.pages['/a'] = Answer(b'bits', headers=[('ETag', TAG)])
    source = opened(web, Checkpoint(2, 4, TAG))
    assert (source.size, source.validator) == (4, TAG)
    assert rest_of(source) == (2, b'ts')
    [request] = web.requests
    assert (request.headers['range'], request.headers['if-range']) == ('bytes=2-', TAG)


def test_of_another_file_all_is_sent(web):
    web.pages['/a'] = Answer(b'bits', headers=[('ETag', '"v2"')])
    source = opened(web, Checkpoint(2, 4, TAG))
    assert source.validator == '"v2"'
    assert rest_of(source) == (0, b'bits')
    assert len(web.requests) == 1


def test_a_server_that_knows_no_ranges_sends_all(web):
    web.pages['/a'] = Answer(b'bits', headers=[('ETag', TAG)], ranges=False)
    assert rest_of(opened(web, Checkpoint(2, 4, TAG))) == (0, b'bits')


def test_it_is_asked_where_the_address_leads(web):
    web.pages['/a'] = Answer(status=302, headers=[('Location', '/b')])
    web.pages['/b'] = Answer(b'bits', headers=[('ETag', TAG)])
    assert rest_of(opened(web, Checkpoint(2, 4, TAG))) == (2, b'ts')


@pytest.mark.parametrize(
    'answer',
    [
        Answer(status=416),
        Answer(status=412),
        part(2, 3, 4, Content_Encoding='gzip'),
        Answer(b'ts', 206),
        Answer(b'ts', 206, [('Content-Range', 'bytes 2-3/*')]),
        Answer(b'ts', 206, [('Content-Range', 'bytes 2-3/4, 2-3/4')]),
        Answer(b'ts', 206, [('Content-Range', 'bytes 2-3/4'), ('Content-Range', 'bytes 2-3/4')]),
        Answer(b'ts', 200, [('Content-Range', 'bytes 2-3/4')]),
        Answer(b'ts', 200, [('Content-Type', 'multipart/byteranges; boundary=x')]),
        part(2, 3, 4, Content_Type='multipart/byteranges; boundary=x'),
        part(1, 3, 4),
        part(2, 2, 4),
        part(2, 4, 4),
        part(2, 4, 5),
        part(2, 3, 4, body=b'bits'),
        part(2, 3, 4, ETag='"v2"'),
        part(2, 3, 4, ETag=f'W/{TAG}'),
    ],
)
def test_an_answer_that_is_not_the_rest_is_not_used(web, answer):
    web.pages['/a'] = lambda request: (
        answer if 'range' in request.headers else Answer(b'bits', headers=[('ETag', '"v3"')])
    )
    source = opened(web, Checkpoint(2, 4, TAG))
    assert source.validator == '"v3"'
    assert rest_of(source) == (0, b'bits')
    assert len(web.requests) == 2


def test_a_rest_that_ends_too_early_is_told(web):
    web.pages['/a'] = Answer(
        [b't'], 206, [('Content-Range', 'bytes 2-3/4'), ('ETag', TAG)], announced=2
    )
    with pytest.raises(errors.SizeMismatch):
        rest_of(opened(web, Checkpoint(2, 4, TAG)))


@pytest.mark.parametrize(
    ('chunks', 'error'),
    [
        (b'2\r\nts\r\n0\r\nX A: 1\r\n\r\n', errors.SourceUnreachable),
        (b'2\r\nts\r\n', errors.SourceUnreachable),
        (b'2\r\nts\r\n1\r\nx\r\n0\r\n\r\n', errors.SizeMismatch),
        (b'1\r\nt\r\n0\r\n\r\n', errors.SizeMismatch),
    ],
)
def test_a_rest_in_chunks_must_end_well_formed(web, chunks, error):
    head = f'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-3/4\r\nETag: {TAG}\r\n'
    web.pages['/a'] = Raw(head.encode() + b'Transfer-Encoding: chunked\r\n\r\n' + chunks)
    with pytest.raises(error):
        rest_of(opened(web, Checkpoint(2, 4, TAG)))


def test_an_error_is_the_answer(web):
    with pytest.raises(errors.SourceBadResponse, match='404'):
        opened(web, Checkpoint(2, 4, TAG))
    assert len(web.requests) == 1


def test_a_part_that_nobody_asked_for_is_refused(web):
    web.pages['/a'] = part(2, 3, 4, ETag=TAG)
    with pytest.raises(errors.SourceBadResponse, match='206'):
        opened(web, None)


@pytest.mark.parametrize(
    ('headers', 'validator'),
    [
        ({'etag': TAG}, TAG),
        ({'etag': f'W/{TAG}'}, None),
        ({'etag': 'v1'}, None),
        ({'etag': '"' + 'x' * 600 + '"'}, None),
        ({'etag': '"\u00fc"'}, None),
        ({}, None),
        ({'last-modified': 'Sat, 21 Nov 2026 10:00:00 GMT'}, None),
        ({'last-modified': 'yesterday', 'date': 'Sat, 21 Nov 2026 10:00:00 GMT'}, None),
        (
            {
                'last-modified': 'Sat, 21 Nov 2026 10:00:00 GMT',
                'date': 'Sat, 21 Nov 2026 10:00:00 GMT',
            },
            None,
        ),
        (
            {
                'etag': 'W/"x"',
                'last-modified': 'Sat, 21 Nov 2026 09:59:59 GMT',
                'date': 'Sat, 21 Nov 2026 10:00:00 GMT',
            },
            'Sat, 21 Nov 2026 09:59:59 GMT',
        ),
    ],
)
def test_only_what_tells_every_change_proves_that_a_file_is_the_same(headers, validator):
    assert response_headers.validator(headers) == validator
