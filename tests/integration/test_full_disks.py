"""A disk that is full or read-only, in staging and in the store: one sentence, nothing left."""

import os
import subprocess
import threading

import pytest

from glance.image_data import deployment_marker
from glance.testing.source_server import Answer
from tests import folders

pytestmark = pytest.mark.once

SIZE = 4 * 2**20  # bytes of the image
DISK = 16 * 2**20


class Small:
    """A file system of its own, with so much room as a test says."""

    def __init__(self, path):
        self.path = path

    def leave(self, size, *, reserve=True):
        """Fill it up until about so many bytes are left, besides what fetching leaves free."""
        disk = os.statvfs(self.path)
        left = size + (int(disk.f_blocks * disk.f_frsize * 0.01) if size and reserve else 0)
        with open(self.path / 'filler', 'wb') as filler:
            os.posix_fallocate(filler.fileno(), 0, disk.f_bavail * disk.f_frsize - left)

    def make_read_only(self):
        subprocess.run(['mount', '-o', 'remount,ro', str(self.path)], check=True)

    def used(self):
        return [
            path.name for path in folders.below(self.path) if path.name != deployment_marker.FILE
        ]


@pytest.fixture
def small(tmp_path, missing):
    path = tmp_path / 'small'
    path.mkdir()
    mounted = subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', f'size={DISK}', 'tmpfs', str(path)], capture_output=True
    )
    if mounted.returncode:
        missing('A small file system cannot be mounted here (needs root).')
    yield Small(path)
    subprocess.run(['umount', str(path)], check=True)


def ended(service, web, announced):
    body = b'\x5a' * SIZE
    web.pages['/a'] = Answer(body) if announced else Answer(body, announced=False)
    return service.ended(service.import_(f'{web.url}/a').json['id'])


@pytest.mark.parametrize('percent', [0, 1, 50, 99])
@pytest.mark.parametrize('announced', [True, False])
def test_a_full_staging_area(small, make_service, web, percent, announced):
    service = make_service(task={'work_dir': str(small.path / 'staging')}).start()
    small.leave(SIZE * percent // 100)
    task = ended(service, web, announced)
    what = f' for the {SIZE} bytes that the source announced' if announced else ''
    assert task['status'] == 'failure'
    assert task['message'] == f'There is no space left in the staging area{what}.'
    assert sorted(small.used()) == ['filler', 'staging']
    assert service.files() == []


@pytest.mark.parametrize('percent', [0, 1, 50, 99])
def test_a_full_store(small, make_service, web, percent):
    folder = str(small.path / 'images')
    service = make_service(glance_store={'filesystem_store_datadir': folder}).start()
    small.leave(SIZE * percent // 100, reserve=False)
    task = ended(service, web, announced=True)
    assert task['status'] == 'failure'
    assert task['message'] == 'There is no space left in the image store.'
    assert sorted(small.used()) == ['filler', 'images']
    assert service.files() == []


def test_what_just_fits_is_stored(small, make_service, web):
    service = make_service(
        task={'work_dir': str(small.path / 'staging')},
        glance_store={'filesystem_store_datadir': str(small.path / 'images')},
    ).start()
    small.leave(SIZE + 65536)
    task = ended(service, web, announced=True)
    assert task['status'] == 'success', task['message']


def test_a_source_stops_when_others_fill_the_disk_meanwhile(small, make_service, web):
    """There was room for what it announced when it began."""
    service = make_service(task={'work_dir': str(small.path / 'staging')}).start()

    def body():
        yield b'\x5a' * 2**20
        while not any(path.stat().st_size == 2**20 for path in small.path.glob('staging/*/*/*')):
            threading.Event().wait(0.01)
        small.leave(2**20)
        for _ in range(3):
            yield b'\x5a' * 2**20

    web.pages['/a'] = Answer(body(), announced=SIZE)
    task = service.ended(service.import_(f'{web.url}/a').json['id'])
    assert task['message'] == 'There is no space left in the staging area.'
    assert sorted(small.used()) == ['filler', 'staging']


@pytest.mark.parametrize(
    ('options', 'where'),
    [
        (('task', 'work_dir', 'staging'), 'the staging area'),
        (('glance_store', 'filesystem_store_datadir', 'images'), 'the image store'),
    ],
)
def test_a_disk_that_becomes_read_only(small, make_service, web, caplog, options, where):
    group, option, folder = options
    service = make_service(**{group: {option: str(small.path / folder)}}).start()
    small.make_read_only()
    task = ended(service, web, announced=True)
    assert task['status'] == 'failure'
    assert task['message'] == f'There is an error of {where}: Read-only file system.'
    assert 'Read-only file system' in caplog.text
    assert 'Traceback' not in caplog.text
    assert service.files() == []
