"""What every image store promises, as a test suite.

    class TestMyStore(ImageStoreContract):
        def make_store(self, folder):
            return MyStore(...)

The tests take tmp_path, a fixture of pytest.
"""

import contextlib
import pathlib
import unittest

from glance.domain import errors
from glance.interfaces.store import ImageStore

IMAGE = '3f0ac3ad-6b9c-4f3e-9c0c-0a54f0b0f6a1'
OTHER = 'b6b0f0a2-7a1e-4c9b-8d43-5f8f2e0f7c11'


class ImageStoreContract:
    """Mix in; define make_store(folder): an empty store, which may use this folder."""

    def make_store(self, folder: pathlib.Path) -> ImageStore:
        raise NotImplementedError

    def test_what_was_stored_can_be_read(self, tmp_path: pathlib.Path) -> None:
        store, url = self._store(tmp_path, b'bits')
        assert self._read(store, url) == b'bits'

    def test_a_large_image_is_stored_whole(self, tmp_path: pathlib.Path) -> None:
        bits = bytes(range(256)) * 20000
        store, url = self._store(tmp_path, bits)
        assert self._read(store, url) == bits

    def test_any_part_can_be_read(self, tmp_path: pathlib.Path) -> None:
        store, url = self._store(tmp_path, b'some bits')
        with store.open(url) as stored:
            stored.seek(5)
            assert stored.read(3) == b'bit'
            stored.seek(0)
            assert stored.read(4) == b'some'

    def test_each_claim_of_an_image_has_its_place(self, tmp_path: pathlib.Path) -> None:
        store = self.make_store(tmp_path / 'store')
        places = {
            store.location_of(image, number) for image in (IMAGE, OTHER) for number in (1, 2, 12)
        }
        assert len(places) == 6
        assert store.location_of(IMAGE, 1) == store.location_of(IMAGE, 1)

    def test_storing_the_same_again_changes_nothing(self, tmp_path: pathlib.Path) -> None:
        store, url = self._store(tmp_path, b'bits')
        store.add(url, self._staged(tmp_path, b'bits', 'staged'))
        store.add(url, self._staged(tmp_path, b'bits', 'staged again'))
        assert self._read(store, url) == b'bits'

    def test_what_another_stored_is_not_overwritten(self, tmp_path: pathlib.Path) -> None:
        store, url = self._store(tmp_path, b'bits')
        for other in (b'BITS', b'more bits', b''):
            with _raises(errors.ForeignFile):
                store.add(url, self._staged(tmp_path, other, f'other {len(other)}'))
        assert self._read(store, url) == b'bits'

    def test_the_staged_file_can_go_afterwards(self, tmp_path: pathlib.Path) -> None:
        store, url = self._store(tmp_path, b'bits')
        (tmp_path / 'staged').unlink(missing_ok=True)
        assert self._read(store, url) == b'bits'

    def test_staging_anew_does_not_change_what_is_stored(self, tmp_path: pathlib.Path) -> None:
        store, url = self._store(tmp_path, b'bits')
        (tmp_path / 'staged').unlink(missing_ok=True)
        (tmp_path / 'staged').write_bytes(b'others')
        assert self._read(store, url) == b'bits'

    def test_a_deleted_image_cannot_be_read(self, tmp_path: pathlib.Path) -> None:
        store, url = self._store(tmp_path, b'bits')
        store.delete(url)
        with _raises(errors.Unavailable):
            self._read(store, url)

    def test_deleting_leaves_the_others(self, tmp_path: pathlib.Path) -> None:
        store, url = self._store(tmp_path, b'bits')
        other = store.location_of(IMAGE, 12)
        store.add(other, self._staged(tmp_path, b'other', 'other'))
        store.delete(url)
        assert self._read(store, other) == b'other'

    def test_deleting_what_is_not_there_is_no_error(self, tmp_path: pathlib.Path) -> None:
        store, url = self._store(tmp_path, b'bits')
        store.delete(url)
        store.delete(url)
        store.delete(store.location_of(OTHER, 1))

    def test_an_image_that_is_being_read_can_be_deleted(self, tmp_path: pathlib.Path) -> None:
        store, url = self._store(tmp_path, b'bits')
        with store.open(url) as stored:
            store.delete(url)
            with contextlib.suppress(errors.Unavailable):  # either is fine, anything else not
                assert stored.read() == b'bits'

    def test_what_was_never_stored_cannot_be_read(self, tmp_path: pathlib.Path) -> None:
        store = self.make_store(tmp_path / 'store')
        with _raises(errors.Unavailable):
            self._read(store, store.location_of(IMAGE, 1))

    def _store(self, folder: pathlib.Path, bits: bytes) -> tuple[ImageStore, str]:
        store = self.make_store(folder / 'store')
        url = store.location_of(IMAGE, 1)
        store.add(url, self._staged(folder, bits, 'staged'))
        return store, url

    def _staged(self, folder: pathlib.Path, bits: bytes, name: str) -> str:
        path = folder / name
        if not path.exists():
            path.write_bytes(bits)
        return str(path)

    def _read(self, store: ImageStore, url: str) -> bytes:
        with store.open(url) as stored:
            return stored.read()


_raises = unittest.TestCase().assertRaises
