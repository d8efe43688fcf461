"""The bytes of an image come from a store that has all of them."""

import datetime
import types

import pytest

from glance.domain import errors
from glance.domain.caller import Caller
from glance.domain.image import Image, Location
from glance.interfaces.store import Stores
from glance.services.images import Images
from glance.testing.fakes.store import FakeStore

ADMIN = Caller('ours', is_admin=True)
NOON = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)


@pytest.fixture
def held():
    """What the stores fast and slow hold of an image of four bytes."""
    return {'fast': FakeStore(), 'slow': FakeStore()}


@pytest.fixture
def images(held):
    image = Image('an-image', 'ours', NOON, NOON, size=4)
    locations = [Location('an-image', name, f'memory://{name}', 'active') for name in held]
    repository = types.SimpleNamespace(
        get=lambda image_id, visible_to: image, locations=lambda image_id: locations
    )
    return Images(repository, Stores(held, default='fast', weights={'fast': 1}))


@pytest.mark.parametrize('damaged', [None, b'', b'bit', b'bits and more'])
def test_another_store_is_read_where_one_does_not_have_the_whole_image(
    images, held, caplog, damaged
):
    if damaged is not None:
        held['fast'].data['memory://fast'] = damaged
    held['slow'].data['memory://slow'] = b'bits'
    with images.open('an-image', by=ADMIN)[1] as file:
        assert file.read() == b'bits'
    assert file.closed
    assert 'Image an-image cannot be read from store fast: ' in caplog.text


def test_an_image_that_no_store_has_whole_is_unavailable(images, held):
    held['slow'].data['memory://slow'] = b'bit'
    with pytest.raises(errors.Unavailable, match='damaged: there are 3 of 4'):
        images.open('an-image', by=ADMIN)


def test_a_file_that_cannot_be_read_is_unavailable(images, held, caplog):
    class Broken:
        def __enter__(self):
            return self

        def __exit__(self, *_error):
            self.closed = True

        def seek(self, *_where):
            raise OSError(5, 'Input/output error')

    broken = Broken()
    held['fast'].open = held['slow'].open = lambda url: broken
    with pytest.raises(errors.Unavailable, match='cannot be read'):
        images.open('an-image', by=ADMIN)
    assert broken.closed
    assert 'Input/output error' in caplog.text


@pytest.mark.parametrize('failing', ['store', 'database'])
def test_a_deleted_image_is_gone_for_the_caller_though_its_bytes_stay(
    images, held, caplog, failing
):
    repository = images._repository
    doomed = [Location('an-image', name, f'memory://{name}', 'pending_delete') for name in held]
    removed = []
    for name in held:
        held[name].data[f'memory://{name}'] = b'bits'

    def fail(_argument):
        raise OSError(30, 'Read-only file system')

    repository.delete = lambda image_id: doomed
    repository.remove_location = fail if failing == 'database' else removed.append
    if failing == 'store':
        held['fast'].delete = fail
    images.delete('an-image', by=ADMIN)
    assert removed == (doomed[1:] if failing == 'store' else [])
    assert held['slow'].data == {}
    assert 'Image an-image: its bytes in store fast could not be removed' in caplog.text
