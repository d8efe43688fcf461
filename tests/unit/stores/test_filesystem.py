import errno
import functools
import os
import pathlib
import stat
import tempfile

import pytest

from glance import native_threads, threads
from glance.domain import errors
from glance.domain.lease import HandBack
from glance.image_data import file_copy, files
from glance.stores.filesystem import FilesystemStore

IMAGE = '3f0ac3ad-6b9c-4f3e-9c0c-0a54f0b0f6a1'


def raises(number):
    """A method that ends with this error of the system."""

    def raising(*_):
        raise OSError(number, os.strerror(number))

    return raising


class OtherDisk(files.Disk):
    """A disk that no file can be linked to."""

    link = raises(errno.EXDEV)


Copies = functools.partial(FilesystemStore, disk=OtherDisk())


@pytest.fixture
def folder(tmp_path):
    return tmp_path / 'images'


@pytest.fixture(params=[FilesystemStore, Copies], ids=['linked', 'copied'])
def store(request, folder):
    return request.param(str(folder))


@pytest.fixture
def staged(tmp_path):
    path = tmp_path / 'staged'
    path.write_bytes(b'bits')
    path.chmod(0o600)
    return path


def test_the_url_says_where_the_file_is(store, folder, staged):
    url = store.location_of(IMAGE, 7)
    assert url == f'file://{folder}/{IMAGE}.7'
    store.add(url, str(staged))
    assert os.listdir(folder) == [f'{IMAGE}.7']
    assert (folder / f'{IMAGE}.7').read_bytes() == b'bits'


def test_a_staged_file_is_linked_not_copied(folder, staged):
    store = FilesystemStore(str(folder))
    store.add(store.location_of(IMAGE, 1), str(staged))
    assert (folder / f'{IMAGE}.1').samefile(staged)


def test_its_folder_and_its_files_are_for_their_owner_only(store, folder, staged):
    store.add(store.location_of(IMAGE, 1), str(staged))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / f'{IMAGE}.1').stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize('kind', [FilesystemStore, Copies], ids=['linked', 'copied'])
def test_files_have_the_permissions_that_were_configured(kind, folder, staged):
    store = kind(str(folder), file_perm=0o640)
    store.add(store.location_of(IMAGE, 1), str(staged))
    assert (folder / f'{IMAGE}.1').stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    'url',
    [
        '',
        'file://',
        'file:///etc/passwd',
        f'file:///elsewhere/{IMAGE}.1',
        'file://{0}/../x',
        'file://{0}/{1}',
        'file://{0}/{1}.x',
        'file://{0}/{1}.1/',
        'file://{0}/../images/{1}.1',
        'file://{0}//{1}.1',
        '{0}/{1}.1',
        'http://{0}/{1}.1',
        'file://{0}/.deployment',
        'file://{0}/{1}.1\n',
    ],
)
def test_nothing_outside_of_its_folder_is_touched(store, folder, staged, url):
    url = url.format(folder, IMAGE)
    for act in (store.open, store.delete, lambda url: store.add(url, str(staged))):
        with pytest.raises(errors.Unavailable):
            act(url)
    assert os.listdir(folder) == []


@pytest.mark.parametrize('what', ['pipe', 'device', 'link', 'folder'])
def test_what_is_no_regular_file_is_not_read(folder, staged, what):
    store = FilesystemStore(str(folder))
    url = store.location_of(IMAGE, 1)
    path = folder / f'{IMAGE}.1'
    match what:
        case 'pipe':
            os.mkfifo(path)
        case 'device':
            try:
                os.mknod(path, stat.S_IFCHR | 0o600, os.stat('/dev/zero').st_rdev)
            except PermissionError:
                pytest.skip('Only root can make a device.')
        case 'link':
            path.symlink_to(staged)
        case 'folder':
            path.mkdir()
    with pytest.raises(errors.Unavailable, match='cannot be read'):
        store.open(url)
    with pytest.raises(errors.ForeignFile):
        store.add(url, str(staged))


def test_a_copy_from_another_file_system(staged):
    if not os.path.isdir('/dev/shm') or os.stat('/dev/shm').st_dev == staged.stat().st_dev:
        pytest.skip('There is one file system only.')
    with tempfile.TemporaryDirectory(dir='/dev/shm') as elsewhere:
        store = FilesystemStore(elsewhere)
        url = store.location_of(IMAGE, 1)
        store.add(url, str(staged))
        store.add(url, str(staged))
        with store.open(url) as stored:
            assert stored.read() == b'bits'


@pytest.mark.parametrize('by_kernel', [True, False])
@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EDQUOT])
def test_a_full_store_is_told_and_keeps_nothing(folder, staged, number, by_kernel):
    class Full(OtherDisk):
        copy_range = raises(number if by_kernel else errno.EXDEV)
        write_all = raises(number)

    store = FilesystemStore(str(folder), disk=Full())
    with pytest.raises(errors.StorageFull, match='no space left in the image store'):
        store.add(store.location_of(IMAGE, 1), str(staged))
    assert os.listdir(folder) == []


def test_a_full_folder_is_told_when_linking(folder, staged):
    class Full(files.Disk):
        link = raises(errno.ENOSPC)

    store = FilesystemStore(str(folder), disk=Full())
    with pytest.raises(errors.StorageFull):
        store.add(store.location_of(IMAGE, 1), str(staged))


def test_a_copy_that_is_dropped_stays_for_a_later_claim(folder, staged):
    staged.write_bytes(os.urandom(2 * file_copy.CHUNK))
    answers = threads.original('threading').Event()

    class Hangs(OtherDisk):
        copy_range = raises(errno.EXDEV)

        def write_all(self, handle, data):
            answers.wait(20)
            super().write_all(handle, data)

    pool = native_threads.NativePool(4, 'store', tick=0.01)
    store = FilesystemStore(str(folder), disk=Hangs(), pool=pool)

    def on_progress(stored):
        raise HandBack

    with pytest.raises(HandBack):
        store.add(store.location_of(IMAGE, 1), str(staged), on_progress=on_progress)
    answers.set()
    for _ in range(4):  # as many as threads, so the copy has ended
        pool.submit(lambda: None).result(10)
    assert (folder / f'{IMAGE}.1').stat().st_size < staged.stat().st_size
    goes_on(store, staged, trusted=True)


def goes_on(store, staged, *, trusted):
    """The next claim stores the file behind the bytes that are there."""
    earlier, url = (store.location_of(IMAGE, number) for number in (1, 2))
    assert store.take_over(earlier, url, trusted=trusted)
    store.add(url, str(staged))
    store.delete(earlier)
    with store.open(url) as file:
        assert file.read() == staged.read_bytes()


class Counts(OtherDisk):
    """Counts the bytes that it copies."""

    def __init__(self):
        self.copied = 0

    def copy_range(self, source, target, most):
        part = super().copy_range(source, target, most)
        self.copied += part
        return part


@pytest.mark.parametrize('trusted', [True, False])
@pytest.mark.parametrize('size', [0, 1, 7 * 2**20, 64 * 2**20, 64 * 2**20 + 1, 65 * 2**20])
def test_a_copy_goes_on_behind_the_bytes_that_are_certainly_there(folder, tmp_path, size, trusted):
    staged = tmp_path / 'staged'
    with staged.open('wb') as file:
        file.write(os.urandom(2**20))
        file.truncate(65 * 2**20)
    disk = Counts()
    store = FilesystemStore(str(folder), disk=disk)
    partial = folder / f'{IMAGE}.1'
    with staged.open('rb') as file:
        partial.write_bytes(file.read(size))
    goes_on(store, staged, trusted=trusted)
    kept = size if trusted else 64 * 2**20 * (size > 64 * 2**20)
    assert disk.copied == 65 * 2**20 - kept
    assert os.listdir(folder) == [f'{IMAGE}.2']


def test_what_is_longer_than_its_source_is_cut(folder, staged):
    store = Copies(str(folder))
    (folder / f'{IMAGE}.1').write_bytes(b'bits and more')
    goes_on(store, staged, trusted=True)


def test_a_file_that_is_linked_is_only_renamed(folder, staged):
    store = FilesystemStore(str(folder))
    store.add(store.location_of(IMAGE, 1), str(staged))
    goes_on(store, staged, trusted=False)
    assert os.listdir(folder) == [f'{IMAGE}.2']


def test_nothing_is_taken_over_where_nothing_is_or_something_else(folder, staged):
    store = Copies(str(folder))
    urls = [store.location_of(IMAGE, number) for number in (1, 2)]
    assert not store.take_over(*urls, trusted=True)
    for number in (1, 2):
        (folder / f'{IMAGE}.{number}').write_bytes(b'other')
    assert not store.take_over(*urls, trusted=True)
    assert (folder / f'{IMAGE}.1').exists()
    with pytest.raises(errors.ForeignFile):
        store.add(urls[1], str(staged))


def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path):
    (tmp_path / 'file').write_bytes(b'')
    with pytest.raises(errors.ConfigError, match=r'The image store .*/file/images cannot be made'):
        FilesystemStore(str(tmp_path / 'file' / 'images'))


def test_a_folder_that_has_lost_its_marker_is_not_used(folder, staged):
    folder.mkdir()
    (folder / '.deployment').write_text('ours')
    store = FilesystemStore(str(folder))
    url = store.location_of(IMAGE, 1)
    store.add(url, str(staged))
    (folder / '.deployment').unlink()
    for act in (
        lambda: store.add(store.location_of(IMAGE, 2), str(staged)),
        lambda: store.delete(store.location_of(IMAGE, 2)),
    ):
        with pytest.raises(errors.StorageUnusable, match='its disk may not be mounted'):
            act()
    assert os.listdir(folder) == [f'{IMAGE}.1']
    store.delete(url)  # the file is there, so the disk is
    (folder / '.deployment').write_text('ours')
    store.delete(url)


def test_a_large_file_is_deleted_too(store, folder, staged):
    url = store.location_of(IMAGE, 1)
    with staged.open('r+b') as file:
        file.truncate(files.LARGE)
    store.add(url, str(staged))
    pathlib.Path(staged).unlink()
    store.delete(url)
    assert os.listdir(folder) == []
