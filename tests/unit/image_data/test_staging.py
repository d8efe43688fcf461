import errno
import os

import pytest

from glance.domain import errors
from glance.domain.lease import Lease
from glance.image_data import files
from glance.image_data.staging import FolderStaging

TASK = '0d5f9d3e-8f0e-4d75-8e2b-6d1b2f3c4a5e'
OTHER = '5a4c3f2b-1b6d-4b2e-8e57-0e8f3e9d5f0d'


@pytest.fixture
def root(tmp_path):
    return tmp_path / 'staging'


@pytest.fixture
def staging(root):
    return FolderStaging(str(root))


def stage(staging, task_id=TASK, number=1, bits=b'bits'):
    path = staging.path(Lease(task_id, number))
    with open(path, 'wb') as file:
        file.write(bits)
    return path


def test_each_claim_has_a_folder_of_its_own_for_its_owner_only(staging, root):
    path = stage(staging)
    assert path == f'{root}/{TASK}/1/image'
    assert staging.path(Lease(TASK, 1)) == path
    assert staging.path(Lease(TASK, 2)) == f'{root}/{TASK}/2/image'
    for folder in (root, root / TASK, root / TASK / '1'):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_what_one_claim_staged_can_go_alone(staging, root):
    stage(staging, number=1)
    stage(staging, number=2)
    staging.remove(Lease(TASK, 1))
    assert os.listdir(root / TASK) == ['2']
    staging.remove(Lease(TASK, 2))
    assert os.listdir(root) == []


def test_what_earlier_claims_staged_can_go_with_it(staging, root):
    stage(staging, number=1)
    (root / TASK / '1' / 'converted').mkdir()
    (root / TASK / '1' / 'converted' / 'image').write_bytes(b'bits')
    stage(staging, number=2)
    stage(staging, OTHER)
    staging.remove(Lease(TASK, 2), earlier=True)
    assert os.listdir(root) == [OTHER]


def test_what_a_later_claim_stages_stays(staging, root):
    stage(staging, number=9)
    stage(staging, number=10)
    staging.remove(Lease(TASK, 9), earlier=True)
    assert os.listdir(root / TASK) == ['10']


def test_removing_what_is_not_there_is_no_error(staging):
    staging.remove(Lease(TASK, 1))
    staging.remove(Lease(TASK, 1), earlier=True)
    stage(staging)
    staging.remove(Lease(TASK, 7))
    for _ in range(2):
        staging.remove(Lease(TASK, 7), earlier=True)


def test_a_large_file_is_removed_too(staging, root):
    path = stage(staging)
    os.truncate(path, files.LARGE)
    staging.remove(Lease(TASK, 1))
    assert os.listdir(root) == []


@pytest.mark.parametrize('task_id', ['', '..', '../x', TASK + '/..', TASK.replace('-', '/')])
def test_only_ids_of_tasks_become_folders(staging, root, task_id):
    for act in (staging.remove, staging.path):
        with pytest.raises(ValueError, match='is not the id of a task'):
            act(Lease(task_id, 1))
    assert os.listdir(root) == []


@pytest.mark.parametrize('place', [TASK, f'{TASK}/1', f'{TASK}/1/link'])
def test_a_link_does_not_lead_out_of_it(staging, root, tmp_path, place):
    outside = tmp_path / 'outside'
    (outside / '1').mkdir(parents=True)
    (outside / '1' / 'image').write_bytes(b'precious')
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).symlink_to(outside)
    if not place.endswith('link'):
        with pytest.raises(errors.ForeignFile):
            staging.path(Lease(TASK, 1))
    staging.remove(Lease(TASK, 1))
    staging.remove(Lease(TASK, 1), earlier=True)
    assert os.listdir(root) == []
    assert (outside / '1' / 'image').read_bytes() == b'precious'


def test_a_full_disk_is_told(root):
    class Full(files.Disk):
        def make_folder(self, path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    staging = FolderStaging(str(root), disk=Full())
    with pytest.raises(errors.StorageFull, match='no space left in the staging area'):
        staging.path(Lease(TASK, 1))


def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path):
    (tmp_path / 'file').write_bytes(b'')
    with pytest.raises(errors.ConfigError, match=r'The staging folder .* cannot be made'):
        FolderStaging(str(tmp_path / 'file' / 'staging'))
