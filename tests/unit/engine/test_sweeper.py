"""The bytes of deleted images go, as soon as their store removes them."""

import datetime

import pytest

from glance.domain import errors
from glance.domain.idempotency import LIFETIME
from glance.domain.image import Location
from glance.engine import sweeper
from glance.interfaces.store import Stores
from glance.testing.fakes.images import FakeImageRepository
from glance.testing.fakes.queue import FakeQueue
from glance.testing.fakes.store import FakeStore
from glance.testing.fakes.tasks import FakeTaskRepository
from glance.testing.observed_queue import PATIENCE


class MayFail(FakeStore):
    error = None

    def delete(self, url):
        if self.error:
            raise self.error
        super().delete(url)


@pytest.fixture
def images():
    return FakeImageRepository()


@pytest.fixture
def stores():
    return {'fast': MayFail(), 'slow': MayFail()}


@pytest.fixture
def tasks():
    return FakeTaskRepository(FakeQueue())


@pytest.fixture
def sweeps(images, tasks, stores):
    return sweeper.Sweeper(images, tasks, Stores(stores, default='fast'))


def left(images, stores, store, number):
    """A location of a deleted image, and its bytes."""
    location = Location(f'i{number}', store, f'memory://i{number}.1', 'pending_delete')
    images.places.append(location)
    if store in stores:
        stores[store].data[location.url] = b'bits'
    return location


def test_bytes_go_with_their_rows_and_those_of_other_images_stay(sweeps, images, stores):
    left(images, stores, 'fast', 1)
    active = Location('i2', 'fast', 'memory://i2.1', 'active')
    images.places.append(active)
    stores['fast'].data[active.url] = b'bits'
    sweeps.sweep()
    assert images.places == [active]
    assert list(stores['fast'].data) == [active.url]


@pytest.mark.parametrize('error', [OSError(30, 'Read-only file system'), errors.Unavailable('x')])
def test_a_store_that_fails_keeps_its_rows_and_not_those_of_others(
    sweeps, images, stores, caplog, error
):
    kept = left(images, stores, 'fast', 1)
    gone = left(images, stores, 'nowhere', 2)
    left(images, stores, 'slow', 3)
    stores['fast'].error = error
    for _ in range(3):
        sweeps.sweep()
    assert images.places == [kept, gone]
    assert caplog.text.count('Bytes in store fast cannot be removed now') == 1  # not at each sweep
    assert caplog.text.count('The store "nowhere" is not enabled') == 1
    stores['fast'].error = None
    sweeps.sweep()
    assert images.places == [gone]
    assert stores['fast'].data == stores['slow'].data == {}


def test_a_sweep_that_fails_is_repeated(images, stores, caplog, tasks):
    answers = [errors.DatabaseUnavailable(), RuntimeError('new')]
    swept = sweeper.threading.Event()

    def removable():
        if answers:
            sweeps.look()
            raise answers.pop()
        swept.set()
        return []

    images.removable = removable
    sweeps = sweeper.Sweeper(images, tasks, Stores(stores, default='fast'))
    sweeps.start()
    assert swept.wait(PATIENCE)
    sweeps.stop(PATIENCE)
    assert 'Sweeping failed' in caplog.text


def test_old_keys_are_forgotten(sweeps, tasks):
    old = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=LIFETIME + 1)
    tasks.keys = {
        ('us', 'old'): ('t1', 'f', old),
        ('us', 'new'): ('t2', 'f', old + datetime.timedelta(minutes=1)),
    }
    sweeps.sweep()
    assert list(tasks.keys) == [('us', 'new')]
