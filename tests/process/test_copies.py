"""A task outlives any number of deaths amid the copy into a store on another file system."""

import os
import tempfile

import pytest

from .conftest import KILL, until

MIB = 2**20
SIZE = 96 * MIB
KILLS = 8  # more than a task may have attempts
OTHER = '/dev/shm'

pytestmark = pytest.mark.soak


@pytest.fixture
def elsewhere(tmp_path):
    """A folder on another file system than that of the store."""
    if not os.path.isdir(OTHER) or os.stat(OTHER).st_dev == os.stat(tmp_path).st_dev:
        pytest.skip(f'{OTHER} is no other file system')
    with tempfile.TemporaryDirectory(dir=OTHER) as folder:
        yield folder


@pytest.mark.parametrize('way', ['taskflow', 'eventlet'])
def test_a_copy_outlives_its_processes(start, web, state, settled, elsewhere, way):
    content = web.pages['/image'] = os.urandom(MIB) * (SIZE // MIB)
    state.mkdir(exist_ok=True)
    (state / 'staging').symlink_to(elsewhere)
    options = {'task': {'task_executor': way}}
    api = start(**options).await_ready()
    task_id = api.import_(f'{web.url}/image')

    def copied():
        # A name that was renamed or removed meanwhile is looked for again.
        sizes = [path.stat().st_size for path in (state / 'images').glob('*.*') if path.exists()]
        return max(sizes, default=0)

    kept = []
    for _ in range(KILLS):
        _await_more(copied, api, task_id)
        api.signal(KILL)
        api.exit_status()
        kept.append(copied())
        api = start(**options).await_ready()
    task = api.ended(task_id)
    assert task['status'] == 'success', task
    if way == 'taskflow':
        assert kept == sorted(kept), 'a copy began anew'
    settled({f'{web.url}/image': content})


def _await_more(copied, api, task_id):
    before = copied()
    until(
        lambda: copied() > before or api.task(task_id)['status'] in ('success', 'failure'),
        'a copied MiB',
    )
