"""Which stores a worker says that it can reach."""

import concurrent.futures

import pytest

from glance.stores.filesystem import FilesystemStore
from glance.stores.store_watch import PATIENCE, StoreWatch
from glance.testing.fakes.byte_pool import FakeBytePool
from glance.testing.fakes.store import FakeStore


class Store(FakeStore):
    answer = True

    def is_reachable(self):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Silent:
    """A pool whose work does not end before the test says so."""

    def __init__(self):
        self.futures = []

    def submit(self, _function, *_args):
        self.futures.append(concurrent.futures.Future())
        return self.futures[-1]


@pytest.mark.parametrize('answer', [False, OSError('away')])
def test_a_store_that_is_away_is_left_out_until_it_is_back(answer):
    stores = {'fast': Store(), 'safe': FakeStore()}
    watch = StoreWatch(stores, pool=FakeBytePool())
    assert watch.reachable() == ['fast', 'safe']
    stores['fast'].answer = answer
    watch.reachable()
    assert watch.reachable() == ['safe']
    stores['fast'].answer = True
    watch.reachable()
    assert watch.reachable() == ['fast', 'safe']


def test_a_disk_that_does_not_answer_is_away_and_nobody_waits_for_it():
    now, pool = [100.0], Silent()
    watch = StoreWatch({'fast': Store()}, pool=pool, clock=lambda: now[0])
    assert watch.reachable() == ['fast']
    now[0] += PATIENCE
    assert watch.reachable() == ['fast']
    now[0] += 1
    assert watch.reachable() == []
    assert len(pool.futures) == 1
    pool.futures[0].set_result((True, None))
    assert watch.reachable() == ['fast']


def test_the_folders_of_stores_are_those_of_the_last_look():
    ids = {'fast': 'f1', 'plug-in': None}
    watch = StoreWatch({'fast': Store(), 'plug-in': FakeStore()}, ids.get, pool=FakeBytePool())
    assert watch.look() == {'fast': 'f1'}
    ids['fast'] = 'f2'  # another disk was mounted
    watch.look()
    watch.look()
    assert watch.folders() == {'fast': 'f2'}


def test_a_store_that_is_away_has_no_folder():
    stores = {'fast': Store()}
    watch = StoreWatch(stores, lambda name: 'f1', pool=FakeBytePool())
    assert watch.look() == {'fast': 'f1'}
    stores['fast'].answer = False
    watch.look()
    watch.look()
    assert watch.folders() == {}


def test_a_file_store_is_reachable_where_its_folder_is_that_of_this_deployment(tmp_path):
    mark = tmp_path / '.deployment'
    mark.write_text('ours')
    store = FilesystemStore(str(tmp_path))
    assert store.is_reachable()
    mark.write_text('theirs')
    assert not store.is_reachable()
    mark.unlink()
    assert not store.is_reachable()
    assert not FilesystemStore(str(tmp_path)).is_reachable()
