"""Who is provably dead."""

import os
import subprocess
import sys

import pytest

from glance.engine.lease_holders import LeaseHolder

# A process that takes an owner's name, says it, and lives until its input ends.
HOLDER = (
    'import sys; from glance.engine.lease_holders import LeaseHolder;'
    'owner = LeaseHolder.register(sys.argv[1]); print(owner.name, flush=True); sys.stdin.read()'
)


@pytest.fixture
def me(tmp_path):
    owner = LeaseHolder.register(tmp_path)
    yield owner
    owner.release()


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, '-c', HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.owner = process.stdout.readline().strip()
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_living_process_is_not_dead(me, holder):
    assert me.dead([me.name, holder.owner]) == []


def test_a_killed_process_is_dead(me, holder):
    holder.kill()
    holder.wait()
    assert me.dead([me.name, holder.owner]) == [holder.owner]


def test_a_missing_file_proves_nothing(me, holder):
    holder.kill()
    holder.wait()
    me.sweep([])
    assert me.dead([holder.owner]) == []


def test_files_of_the_dead_go_unless_they_still_prove_something(me, holder, tmp_path):
    me.sweep([])
    assert len(list(tmp_path.glob('*.owner'))) == 2
    holder.kill()
    holder.wait()
    me.sweep([holder.owner])
    assert len(list(tmp_path.glob('*.owner'))) == 2
    me.sweep([])
    assert len(list(tmp_path.glob('*.owner'))) == 1


def test_an_earlier_boot_of_this_host_is_dead(me):
    host, folder, boot, process = me.name.split('/')
    assert me.dead([f'{host}/{folder}/{boot}-before/{process}']) == [
        f'{host}/{folder}/{boot}-before/{process}'
    ]


@pytest.mark.parametrize('part', [0, 1])
def test_nothing_is_known_of_another_host_or_state_folder(me, part):
    parts = me.name.split('/')
    parts[part] += 'x'
    parts[2] = 'another-boot'
    assert me.dead(['/'.join(parts)]) == []


def test_a_name_of_another_form_is_left_alone(me):
    assert me.dead(['somebody', 'a/b', '']) == []


def test_an_unknown_boot_proves_nothing(tmp_path):
    unsure = LeaseHolder.register(tmp_path, boot_id=tmp_path / 'no-such-file')
    host, folder, boot, process = unsure.name.split('/')
    assert boot == ''
    assert unsure.dead([f'{host}/{folder}/other/{process}x']) == []
    unsure.release()


def test_names_of_one_process_differ(tmp_path):
    first, second = LeaseHolder.register(tmp_path), LeaseHolder.register(tmp_path)
    assert first.name != second.name
    assert len(first.name) < 255
    first.release()
    second.release()
    assert [name for name in os.listdir(tmp_path) if name.endswith('.owner')] == []
