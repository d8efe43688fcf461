"""What tells staging areas from each other."""

import socket

import pytest

from glance.domain import errors
from glance.image_data import folder_id, staging_area
from glance.image_data.staging import FolderStaging


def test_a_folder_keeps_its_id_and_others_have_others(tmp_path):
    for name in ('one', 'other'):
        (tmp_path / name).mkdir()
    first = staging_area.origin_of(tmp_path / 'one')
    assert first == staging_area.origin_of(tmp_path / 'one')
    assert first['area'] != staging_area.origin_of(tmp_path / 'other')['area']
    assert first['host'] == socket.gethostname()[:64]
    assert [path.name for path in (tmp_path / 'one').iterdir()] == [folder_id.FILE]


def test_the_id_is_no_task(tmp_path):
    staging = FolderStaging(str(tmp_path), origin=staging_area.origin_of(tmp_path))
    assert staging.task_ids() == []
    assert not staging.has(folder_id.FILE)


def test_an_id_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / folder_id.FILE).touch()
    with pytest.raises(errors.ConfigError, match=r'work_dir: .*\.area cannot be used: it has no'):
        staging_area.origin_of(tmp_path)
