"""Which folders are a deployment's own."""

import os

import pytest

from glance.domain import errors
from glance.image_data import deployment_marker


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / 'images'
    made.mkdir()
    return made


def check(folder, deployment='ours', **more):
    given = {'used': False, 'database': 'sqlite:///db'} | more
    deployment_marker.verify({'filesystem_store_datadir': folder}, deployment, **given)


def named(folder):
    return (folder / '.deployment').read_text()


def test_an_empty_folder_is_adopted(folder):
    (folder / 'lost+found').mkdir()
    (folder / '.probe-7').touch()
    check(folder)
    assert named(folder) == 'ours\n'
    check(folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        '.deployment',
        '.probe-7',
        'lost+found',
    ]


def test_files_without_a_mark_belong_to_no_fresh_database(folder):
    (folder / 'bytes').touch()
    with pytest.raises(
        errors.ConfigError, match='holds files that the database does not know'
    ) as refused:
        check(folder)
    for fact in (str(folder), 'sqlite:///db', 'filesystem_store_datadir', 'Restore', 'remove'):
        assert fact in str(refused.value)
    assert not (folder / '.deployment').exists()


def test_files_older_than_the_marks_belong_to_a_database_that_was_used(folder):
    (folder / 'bytes').touch()
    check(folder, used=True)
    assert named(folder) == 'ours\n'


def test_an_empty_folder_in_which_files_should_be_is_not_adopted(folder):
    (folder / 'lost+found').mkdir()
    with pytest.raises(errors.ConfigError, match='its disk may not be mounted') as refused:
        check(folder, used=True, names_files=lambda one: one == folder)
    assert f'filesystem_store_datadir: {folder} is empty' in str(refused.value)
    assert not (folder / '.deployment').exists()
    check(folder, used=True, names_files=lambda one: one != folder)
    assert named(folder) == 'ours\n'
    check(folder, used=True, names_files=lambda one: True)  # as the message says


@pytest.mark.parametrize('make', [os.mkfifo, os.mkdir, lambda path: os.symlink('/dev/zero', path)])
def test_a_marker_that_is_no_file_is_told(folder, make):
    make(folder / '.deployment')
    with pytest.raises(errors.ConfigError, match='cannot be read'):
        check(folder)


@pytest.mark.parametrize('used', [True, False])
@pytest.mark.parametrize('deployment', ['ours', None])
@pytest.mark.parametrize('theirs', ['theirs\n', '', '\udcff' * 500])
def test_the_folder_of_another_is_refused(folder, used, deployment, theirs):
    (folder / '.deployment').write_text(theirs, errors='surrogateescape')
    before = (folder / '.deployment').read_bytes()
    with pytest.raises(errors.ConfigError, match='does not belong to the database'):
        check(folder, deployment, used=used)
    assert (folder / '.deployment').read_bytes() == before


def test_a_new_database_marks_nothing_yet(folder):
    check(folder, None)
    assert list(folder.iterdir()) == []


def test_a_start_that_is_refused_marks_none_of_the_folders(tmp_path):
    ours, theirs = tmp_path / 'images', tmp_path / 'staging'
    ours.mkdir()
    theirs.mkdir()
    (theirs / '.deployment').write_text('theirs')
    with pytest.raises(errors.ConfigError, match='work_dir'):
        deployment_marker.verify(
            {'filesystem_store_datadir': ours, 'work_dir': theirs},
            'ours',
            used=False,
            database='a database',
        )
    assert list(ours.iterdir()) == []
