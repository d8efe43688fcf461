"""What tells staging areas from each other."""

import socket

from glance.image_data import staging_area
from glance.image_data.staging import FolderStaging


def test_a_folder_keeps_its_id_and_others_have_others(tmp_path):
    for name in ('one', 'other'):
        (tmp_path / name).mkdir()
    first = staging_area.origin_of(tmp_path / 'one')
    assert first == staging_area.origin_of(tmp_path / 'one')
    assert first['area'] != staging_area.origin_of(tmp_path / 'other')['area']
    assert first['host'] == socket.gethostname()[:64]
    assert [path.name for path in (tmp_path / 'one').iterdir()] == [staging_area.AREA_FILE]


def test_the_id_is_no_task(tmp_path):
    staging = FolderStaging(str(tmp_path), origin=staging_area.origin_of(tmp_path))
    assert staging.task_ids() == []
    assert not staging.has(staging_area.AREA_FILE)
