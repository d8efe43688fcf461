import contextlib
import errno
import hashlib
import os
import threading

import pytest

from glance import native_threads, threads
from glance.domain import errors
from glance.domain.lease import HandBack
from glance.image_data import checkpoints, files, receiving
from glance.image_data.receiving import CHUNK, MAX_BACKLOG, Pace, Receiver

MIB = 2**20


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


class Disk(files.Disk):
    """A disk with so much room, whose writes a test can hold up or replace."""

    def __init__(self, room=10**12, write=None):
        self.room = room
        self._write = write

    def free_bytes(self, handle):
        return self.room

    def write_all(self, handle, data):
        if self._write is None or self._write(data):
            super().write_all(handle, data)


def receive(source, path, **options):
    return Receiver(**options).receive(source, path)


class Sent:
    """A source of these pieces."""

    begins_at = 0
    mirror = 0
    validator = None

    def __init__(self, pieces, size=None):
        self.pieces = iter(pieces)
        self.size = size
        self.asked = []
        self._left = b''

    def read(self, most):
        self.asked.append(most)
        piece = self._left or next(self.pieces, b'')
        self._left = piece[most:]
        return piece[:most]


def pieces(size, each=200_000):
    body = os.urandom(each)
    while size > 0:
        yield body[:size]
        size -= each


def silent(_size):
    pass


def digests(path):
    body = path.read_bytes()
    return (
        len(body),
        hashlib.md5(body, usedforsecurity=False).hexdigest(),
        hashlib.sha512(body).hexdigest(),
    )


@pytest.mark.parametrize('size', [1, 1024, CHUNK - 1, CHUNK, CHUNK + 1, 5 * MIB + 7, 40 * MIB])
def test_what_is_received_is_written_and_hashed(tmp_path, pool, size):
    path = tmp_path / 'image'
    result = receive(Sent(pieces(size)), str(path), on_progress=silent, pool=pool)
    assert (result.size, result.checksum, result.os_hash_value) == digests(path)
    assert result.size == size


@pytest.mark.parametrize('begins_at', [0, 3])
@pytest.mark.parametrize('algorithm', ['md5', 'sha256', 'sha512'])
def test_one_more_digest_is_computed_if_asked_for(tmp_path, pool, algorithm, begins_at):
    body = b'bits' * MIB
    path = tmp_path / 'image'
    path.write_bytes(body[:begins_at])
    source = Sent([body[begins_at:]], len(body))
    source.begins_at = begins_at
    result = receive(source, str(path), on_progress=silent, pool=pool, digest=algorithm)
    assert result.digests[algorithm] == hashlib.new(algorithm, body).hexdigest()
    assert set(result.digests) == {'md5', 'sha512', algorithm}


def test_who_sends_little_is_kept_little_room_for(tmp_path, pool):
    source = Sent([b'b' * 1024] * 5 + [b'b' * 10**6] * 2 + [b'b'] * 3)
    receive(source, str(tmp_path / 'image'), on_progress=silent, pool=pool)
    assert set(source.asked[:6]) == set(source.asked[-3:]) == {receiving.SMALL_READ_SIZE}
    assert set(source.asked[6:12]) >= {receiving.READ_SIZE}


def test_there_must_be_room_for_what_is_announced(tmp_path, pool):
    disk, path = Disk(room=1000), str(tmp_path / 'image')
    source = Sent([b'b' * 1001], size=1001)
    with pytest.raises(errors.StorageFull) as caught:
        receive(source, path, on_progress=silent, pool=pool, disk=disk)
    assert str(caught.value) == (
        'There is no space left in the staging area for the 1001 bytes that the source announced.'
    )
    assert source.asked == []
    receive(Sent([b'b' * 1000], 1000), path, on_progress=silent, pool=pool, disk=disk)


def test_some_room_is_left_for_others(tmp_path, pool):
    def write(data):
        disk.room -= len(data)
        return True

    disk, path = Disk(room=5 * MIB, write=write), str(tmp_path / 'image')
    with pytest.raises(errors.StorageFull, match=r'in the staging area\.'):
        receive(Sent(pieces(9 * MIB)), path, on_progress=silent, pool=pool, disk=disk)
    assert 0 <= disk.room < 5 * MIB


def test_the_room_of_a_disk_is_less_than_what_is_free(tmp_path):
    with open(tmp_path / 'image', 'wb') as file:
        disk = os.fstatvfs(file.fileno())
        reserve = disk.f_bavail * disk.f_frsize - files.DISK.free_bytes(file.fileno())
    assert 0 < reserve <= files.RESERVE + 16 * MIB  # others write meanwhile


@pytest.mark.parametrize('sent', [1000, 5 * MIB])
@pytest.mark.parametrize('size', [0, 500, 10 * MIB])
@pytest.mark.parametrize('end', ['whole', 'handed back'])
def test_a_file_that_another_one_resizes_is_told(tmp_path, pool, sent, size, end):
    path = tmp_path / 'image'

    def resized():
        yield from pieces(sent)
        waited = threading.Event()
        while path.stat().st_size < sent - CHUNK:
            waited.wait(0.001)
        os.truncate(path, size)
        if end == 'handed back':
            raise HandBack
        yield from pieces(sent)

    source = Sent(resized(), 2 * sent)
    source.validator = '"v1"'
    with pytest.raises(HandBack if end == 'handed back' else errors.StagingChanged):
        receive(source, str(path), on_progress=silent, pool=pool, pace=Pace(MIB))
    if end == 'handed back':
        kept = checkpoints.read(str(path))
        assert kept is None or kept.offset <= size < sent


def test_a_kept_file_that_has_become_shorter_is_told(tmp_path, pool):
    path = tmp_path / 'image'
    receive(Sent([b'b' * 1000]), str(path), on_progress=silent, pool=pool)
    source = Sent([b'b' * 1000], 2000)
    source.begins_at = 1000
    os.truncate(path, 900)
    with pytest.raises(errors.StagingChanged):
        receive(source, str(path), on_progress=silent, pool=pool)


def test_many_receive_at_once_over_few_threads(tmp_path):
    pool = native_threads.NativePool(2, 'bytes')
    results = {}

    def one(number):
        path = tmp_path / str(number)
        result = receive(Sent(pieces(6 * MIB)), str(path), on_progress=silent, pool=pool)
        results[number] = (result.size, result.checksum, result.os_hash_value)

    running = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)
    pool.stop()
    assert results == {number: digests(tmp_path / str(number)) for number in range(8)}


def test_only_its_owner_may_read_the_file(tmp_path, pool):
    path = tmp_path / 'image'
    receive(Sent([b'bits']), str(path), on_progress=silent, pool=pool)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_of_an_earlier_try_is_overwritten(tmp_path, pool):
    path = tmp_path / 'image'
    path.write_bytes(b'longer than the next')
    receive(Sent([b'bits']), str(path), on_progress=silent, pool=pool)
    assert path.read_bytes() == b'bits'


@pytest.mark.parametrize('make_link', [os.symlink, os.link])
def test_a_link_in_its_place_is_replaced_and_not_followed(tmp_path, pool, make_link):
    (tmp_path / 'elsewhere').write_bytes(b'precious')
    make_link(tmp_path / 'elsewhere', tmp_path / 'image')
    receive(Sent([b'bits']), str(tmp_path / 'image'), on_progress=silent, pool=pool)
    assert (tmp_path / 'elsewhere').read_bytes() == b'precious'
    assert (tmp_path / 'image').read_bytes() == b'bits'


def test_progress_is_told_for_every_mebibyte_and_at_the_end(tmp_path, pool):
    told = []
    receive(Sent(pieces(10 * MIB)), str(tmp_path / 'image'), on_progress=told.append, pool=pool)
    assert told == sorted(told)
    assert told[-1] == 10 * MIB
    assert max(after - before for before, after in zip([0, *told], told, strict=False)) < 2 * MIB


def test_progress_is_told_when_little_comes(tmp_path, pool):
    told, path = [], str(tmp_path / 'image')
    pace = Pace(progress_interval=0)
    receive(Sent([b'b'] * 3), path, on_progress=told.append, pool=pool, pace=pace)
    assert told == [1, 2, 3, 3]


@pytest.mark.parametrize('after', [0, 3 * MIB, 20 * MIB])
def test_a_drop_ends_it_and_leaves_nothing_at_work(tmp_path, pool, after):
    def on_progress(size):
        if size >= after:
            raise HandBack

    open_before = open_files()
    with pytest.raises(HandBack):
        receive(
            Sent(pieces(30 * MIB)), str(tmp_path / 'image'), on_progress=on_progress, pool=pool
        )
    assert open_files() == open_before
    assert everything_rests(pool)


def test_a_source_that_breaks_ends_it_too(tmp_path, pool):
    def broken():
        yield from pieces(7 * MIB)
        raise errors.SizeMismatch(8 * MIB, 7 * MIB)

    open_before = open_files()
    with pytest.raises(errors.SizeMismatch):
        receive(Sent(broken()), str(tmp_path / 'image'), on_progress=silent, pool=pool)
    assert open_files() == open_before
    assert everything_rests(pool)


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize('room', [0, 3 * MIB, 20 * MIB])
def test_a_full_disk_is_told_in_one_sentence(tmp_path, pool, number, room):
    def write(data):
        nonlocal room
        room -= len(data)
        if room < 0:
            raise OSError(number, os.strerror(number))
        return True

    disk, path = Disk(write=write), str(tmp_path / 'image')
    open_before = open_files()
    with pytest.raises(errors.StorageFull, match='no space left in the staging area'):
        receive(Sent(pieces(30 * MIB)), path, on_progress=silent, pool=pool, disk=disk)
    assert open_files() == open_before


def test_a_slow_disk_keeps_the_source_waiting_and_memory_small(tmp_path, quick_pool):
    answers = threads.original('threading').Event()
    disk = Disk(write=lambda data: len(data) < CHUNK or answers.wait(20))
    sent = 0
    sent_while_it_hung = []

    def counted():
        nonlocal sent
        for piece in pieces(60 * MIB):
            sent += len(piece)
            yield piece

    told = []

    def on_progress(size):
        told.append(size)
        if told.count(size) > 3:  # again and again, while the disk does not answer
            sent_while_it_hung.append(sent)
            answers.set()

    path = str(tmp_path / 'image')
    receive(Sent(counted()), path, on_progress=on_progress, pool=quick_pool, disk=disk)
    assert sent_while_it_hung[0] <= (MAX_BACKLOG + 3) * MIB


def test_a_disk_that_hangs_does_not_keep_a_drop_waiting(tmp_path, quick_pool):
    answers = threads.original('threading').Event()
    closed = threads.original('threading').Event()
    disk = Disk(write=lambda data: len(data) < CHUNK or (answers.wait(20) and False))
    told = []

    def on_progress(size):
        told.append(size)
        if told.count(size) > 3:
            raise HandBack

    open_before = open_files()
    with pytest.raises(HandBack):
        receive(
            Sent(pieces(30 * MIB)),
            str(tmp_path / 'image'),
            on_progress=on_progress,
            pool=quick_pool,
            disk=disk,
            pace=Pace(abandon_timeout=0.05),
        )
    assert len(open_files() - open_before) == 1  # still in use by the hanging call
    answers.set()
    quick_pool.submit(closed.set).result(10)
    assert everything_rests(quick_pool)
    assert open_files() == open_before


def open_files():
    links = set()
    for name in os.listdir('/proc/self/fd'):
        with contextlib.suppress(OSError):
            links.add(os.readlink(f'/proc/self/fd/{name}'))
    return {link for link in links if link.endswith('/image')}


def everything_rests(pool):
    """All threads of the pool of three are free: they can meet."""
    meeting = threads.original('threading').Barrier(3)
    for future in [pool.submit(meeting.wait, 10) for _ in range(3)]:
        future.result(15)
    return True


def test_a_slow_source_is_listened_to_less_often(tmp_path, pool):
    class Slow:
        pauses = 0
        begins_at = 0

        def __init__(self, pieces):
            self.size = self.validator = None
            self._pieces = iter(pieces)

        def read(self, most):
            return next(self._pieces, b'')

        def pause(self, seconds):
            self.pauses += 1

    pace = Pace(slow_after=-1)
    slow = Slow([b'x'] * 5)
    result = receive(slow, str(tmp_path / 'slow'), on_progress=silent, pool=pool, pace=pace)
    fast = Slow([b'x' * receiving.SMALL_READ_SIZE] * 5)
    receive(fast, str(tmp_path / 'fast'), on_progress=silent, pool=pool, pace=pace)
    assert (result.size, slow.pauses, fast.pauses) == (5, 5, 0)
