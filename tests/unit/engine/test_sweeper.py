"""The bytes of deleted images go, as soon as their store removes them."""

import datetime
import pathlib

import pytest

from glance.domain import errors
from glance.domain.idempotency import LIFETIME
from glance.domain.image import Location
from glance.domain.lease import Lease
from glance.engine import sweeper
from glance.interfaces.store import Stores
from glance.testing.fakes.images import FakeImageRepository
from glance.testing.fakes.queue import FakeQueue
from glance.testing.fakes.staging import FakeStaging
from glance.testing.fakes.store import FakeStore
from glance.testing.fakes.tasks import FakeTaskRepository
from glance.testing.observed_queue import PATIENCE

RUNS = '0d5f9d3e-8f0e-4d75-8e2b-6d1b2f3c4a5e'
ENDED = '5a4c3f2b-1b6d-4b2e-8e57-0e8f3e9d5f0d'


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
def staging(tmp_path):
    return FakeStaging(tmp_path)


@pytest.fixture
def make_sweeper(images, tasks, stores, staging):
    """make_sweeper(*queued): a sweeper, if these tasks have not ended."""

    def make(*queued):
        return sweeper.Sweeper(
            images,
            tasks,
            Stores(stores, default='fast'),
            staging,
            lambda lease: lease.task_id in queued,
        )

    return make


@pytest.fixture
def sweeps(make_sweeper):
    return make_sweeper()


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


def test_what_a_task_staged_here_goes_when_it_has_ended_elsewhere(make_sweeper, staging):
    for task_id, number in ((RUNS, 1), (ENDED, 1), (ENDED, 3)):
        pathlib.Path(staging.path(Lease(task_id, number))).write_bytes(b'bits')
    make_sweeper(RUNS).sweep()
    assert pathlib.Path(staging.path(Lease(RUNS, 1))).read_bytes() == b'bits'
    assert not any(pathlib.Path(staging.folder(Lease(ENDED, 1), earlier=True)).glob('*'))


def test_a_sweep_that_fails_is_repeated(images, make_sweeper, caplog):
    answers = [errors.DatabaseUnavailable(), RuntimeError('new')]
    swept = sweeper.threading.Event()

    def removable():
        if answers:
            sweeps.look()
            raise answers.pop()
        swept.set()
        return []

    images.removable = removable
    sweeps = make_sweeper()
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


def test_a_task_can_be_looked_at_without_a_sweep(make_sweeper, staging, images):
    runs, ended = (pathlib.Path(staging.path(Lease(task_id, 1))) for task_id in (RUNS, ENDED))
    for path in (runs, ended):
        path.write_bytes(b'bits')
    one = make_sweeper(RUNS)
    one.sweep = lambda: None
    one.start()
    try:
        for task_id in (RUNS, ENDED, 'none'):
            one.look_at(task_id)
        FakeQueue().wait_until(lambda: not ended.exists(), every=0.01)
        assert runs.exists()
    finally:
        one.stop(PATIENCE)
