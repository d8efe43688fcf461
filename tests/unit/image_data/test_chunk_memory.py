"""However many fetches there are, together they keep a bounded number of bytes in memory."""

import collections
import threading

import pytest

from glance import native_threads, threads
from glance.image_data import files, pipeline, receiving
from glance.image_data.pipeline import ChunkMemory, PipelineStage
from glance.image_data.receiving import CHUNK, Receiver

FETCHES = 12


@pytest.fixture
def pool():
    made = native_threads.NativePool(40, 'bytes', tick=0.01)
    yield made
    made.stop()


@pytest.fixture
def memory(pool):
    made = ChunkMemory.of(pool)
    made.most = 4 * CHUNK
    return made


class HeldUp:
    """Work of a stage that ends when the test says so."""

    def __init__(self):
        self.may_end = threads.original('threading').Event()

    def __call__(self, chunk):
        self.may_end.wait(60)


def test_a_chunk_counts_once_until_the_last_stage_has_done_with_it(pool, memory):
    quick, held_up = PipelineStage(len, pool), HeldUp()
    slow = PipelineStage(held_up, pool)
    chunk = b'b' * CHUNK
    for stage in (quick, slow):
        stage.put(chunk)
    quick.wait_until(0, lambda: None)
    assert memory.held == CHUNK
    held_up.may_end.set()
    slow.wait_until(0, lambda: None)
    assert memory.held == 0


def test_what_is_collected_counts_until_it_is_a_chunk_or_dropped(pool, memory):
    stage = PipelineStage(len, pool)
    stage.expect(1000)
    stage.expect(24)
    assert memory.held == 1024
    stage.put(b'b' * 1024)
    stage.wait_until(0, lambda: None)
    assert memory.held == 0
    stage.expect(1000)
    stage.abandon()
    assert memory.held == 0


@pytest.mark.parametrize('fails', [False, True])
def test_chunks_that_are_dropped_are_held_no_longer(pool, memory, fails):
    held_up = HeldUp()

    def work(chunk):
        held_up(chunk)
        if fails:
            raise ValueError

    stage = PipelineStage(work, pool)
    for _ in range(3):
        stage.put(b'b' * CHUNK + bytes([len(stage._chunks)]))
    threading.Timer(0.05, held_up.may_end.set).start()
    if fails:
        with pytest.raises(ValueError):
            stage.wait_until(0, lambda: None)
    else:
        stage.abandon()
    assert memory.held == 0


class Endless:
    """A source that always has bytes; it says what was read before each read."""

    size = validator = None
    begins_at = 0
    mirror = 0

    def __init__(self, size):
        self._left = size

    def read(self, most):
        piece = b'b' * min(most, self._left)
        self._left -= len(piece)
        return piece


@pytest.mark.green
def test_fast_fetches_over_a_disk_that_hangs_share_the_memory(pool, memory, tmp_path):
    """Without the bound each of them would keep MAX_BACKLOG chunks."""
    held_up = HeldUp()
    hub = threads.original('threading').get_ident()
    reports = collections.Counter()  # by fetch and size: how often it was reported

    class Disk(files.Disk):
        def write_all(self, handle, data):
            if threads.original('threading').get_ident() != hub:  # all but the first MiB
                held_up(data)
            super().write_all(handle, data)

    def fetch(number):
        receiver = Receiver(lambda size: reports.update([(number, size)]), pool, disk=Disk())
        receiver.receive(Endless(8 * CHUNK), str(tmp_path / str(number)))

    def waits(number):
        return any(reports[key] > 3 for key in reports if key[0] == number)

    fetches = [threading.Thread(target=fetch, args=(number,)) for number in range(FETCHES)]
    for one in fetches:
        one.start()
    while not all(waits(number) for number in range(FETCHES)):
        threading.Event().wait(0.005)
    # Each has at least one chunk, of a piece if there was no room for more.
    assert memory.most <= memory.held <= memory.most + FETCHES * receiving.READ_SIZE
    held_up.may_end.set()
    for one in fetches:
        one.join(60)
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [8 * CHUNK] * FETCHES
    assert memory.held == 0


def test_each_pool_has_a_memory_of_its_own(pool, memory):
    assert ChunkMemory.of(pool) is memory
    assert ChunkMemory.of(native_threads.NativePool(1, 'other')).most == pipeline.MOST_MEMORY
