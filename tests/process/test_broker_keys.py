"""What killed workers leave at a Redis broker goes by itself."""

import pytest

from tests import brokers

from .conftest import KILL, TERM, until
from .held_page import HeldPage
from .redis_server import RedisServer

brokers.import_kombu()
pytestmark = [pytest.mark.soak, pytest.mark.once]

ROUNDS, WORKERS, IMPORTS = 20, 5, 3
CONTENT = bytes(range(256)) * 64


@pytest.fixture
def redis():
    server = RedisServer()
    yield server
    server.end()


def test_a_hundred_killed_workers_leave_no_keys(redis, start, config, begin_worker, web):
    web.pages['/image'] = page = HeldPage(CONTENT)
    sections = {
        'task': {'poll_interval': 0.2, 'lease_time': 3},
        'taskflow_executor': {'engine_mode': 'worker-based'},
        'taskflow_workers': {
            'transport': 'redis',
            'address': f'redis://127.0.0.1:{redis.port}/0',
            'worker_timeout': 3.0,
        },
    }
    api = start(**sections).await_ready()
    path = config(**sections)
    posted = []
    for _round in range(ROUNDS):
        doomed = [begin_worker(path) for _ in range(WORKERS)]
        posted += [api.import_(f'{web.url}/image') for _ in range(IMPORTS)]
        assert page.asked.acquire(timeout=30)
        for worker in doomed:
            worker.signal(KILL)
            worker.exit_status()
    page.go_on.set()
    last = begin_worker(path)
    assert [api.ended(task_id)['status'] for task_id in posted] == ['success'] * len(posted)
    last.signal(TERM)
    assert last.exit_status() == 0
    api.signal(TERM)
    assert api.exit_status() == 0
    left = redis.keys()
    until(lambda: not redis.keys(), f'the end of the keys {left}', 90)
