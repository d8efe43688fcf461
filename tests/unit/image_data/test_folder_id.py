"""The ids of folders."""

import concurrent.futures
import os
import threading

import pytest

from glance.image_data import folder_id

AT_ONCE = 8


def test_a_folder_has_no_id_until_it_is_asked_for(tmp_path):
    assert folder_id.read(tmp_path) is None
    made = folder_id.of(tmp_path)
    assert folder_id.read(tmp_path) == folder_id.of(tmp_path) == made


def test_all_who_make_the_id_at_once_have_the_same_one(tmp_path):
    together = threading.Barrier(AT_ONCE)

    def make(_number):
        together.wait()
        return folder_id.of(tmp_path)

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        made = set(pool.map(make, range(AT_ONCE)))
    assert made == {folder_id.read(tmp_path)}
    assert os.listdir(tmp_path) == [folder_id.FILE]


def test_an_id_of_an_earlier_release_stays(tmp_path):
    (tmp_path / folder_id.FILE).write_text('0123456789abcdef')
    assert folder_id.of(tmp_path) == '0123456789abcdef'


@pytest.mark.parametrize('text', ['', ' ', 'a b', '../x', 'x' * 101])
def test_what_is_no_id_is_refused(tmp_path, text):
    (tmp_path / folder_id.FILE).write_text(text)
    with pytest.raises(OSError, match='it has no id'):
        folder_id.of(tmp_path)


def test_a_folder_that_is_gone_gets_no_id(tmp_path):
    with pytest.raises(FileNotFoundError):
        folder_id.of(tmp_path / 'gone')
