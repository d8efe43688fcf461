"""Thirty imports while their process is killed ten times."""

import os
import random
import time

import pytest

from .conftest import KILL, until

KILLS = 10
PER_LIFE = 3  # imports that are posted before each kill
SMALLEST, LARGEST = 1024, 200 * 2**20
LONGEST_LIFE = 2.0  # seconds
RATE = 40 * 2**20  # bytes per second of each source, so that there is work to be killed at
# Tasks that would be given up, and rightly so, if their process died now.
AT_ITS_LAST = """
    SELECT task_id FROM task_queue WHERE attempts = 2 AND owner IS NOT NULL
    AND furthest_step = begun_step AND furthest_bytes = begun_bytes
"""
WAYS = {'taskflow': {}, 'eventlet': {'task': {'task_executor': 'eventlet', 'max_attempts': 20}}}


def sizes(count):
    """From the smallest to the largest, each larger by the same factor."""
    factor = (LARGEST / SMALLEST) ** (1 / (count - 1))
    return [round(SMALLEST * factor**number) for number in range(count)]


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """A file of each size, no two alike."""
    folder = tmp_path_factory.mktemp('sources')
    block = os.urandom(2**20)
    made = []
    for size in sizes(KILLS * PER_LIFE):
        path = folder / str(size)
        with path.open('wb') as file:
            file.write(os.urandom(16))
            while (left := size - file.tell()) > 0:
                file.write(block[:left])
        made.append(path)
    return made


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize('way', WAYS)
@pytest.mark.usefixtures('recorded')
def test_all_imports_succeed_though_their_process_is_killed_ten_times(
    start, web, settled, query, files, way
):
    seed = os.environ.get('GLANCE_TEST_SEED') or str(random.randrange(10**9))
    print(f'GLANCE_TEST_SEED={seed}')  # noqa: T201 - to be seen when the test fails
    chance = random.Random(seed)
    order = chance.sample(files, len(files))
    sources = {}
    for path in order:
        web.pages[f'/{path.name}'] = path
        sources[f'{web.url}/{path.name}'] = path

    web.rate = RATE
    waiting = list(sources)
    accepted, hits = [], 0
    for _kill in range(KILLS):
        api = start(**WAYS[way]).await_ready()
        life = time.monotonic() + chance.uniform(0, LONGEST_LIFE)
        for _import in range(PER_LIFE):
            accepted.append(api.import_(waiting.pop()))
        until(
            lambda end=life: (
                time.monotonic() > end and not (way == 'taskflow' and query(AT_ITS_LAST))
            ),
            'a moment at which a death is not the third in a row',
        )
        api.signal(KILL)
        api.exit_status()
        hits += bool(query('SELECT task_id FROM task_queue WHERE owner IS NOT NULL'))
    assert hits >= KILLS // 2, 'the processes were killed after their work'

    api = start(**WAYS[way]).await_ready()
    for task_id in accepted:
        task = api.ended(task_id)
        assert task['status'] == 'success', task['message']
    assert len(settled(sources)) == len(files)
