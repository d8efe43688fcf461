"""What killed workers leave at a Redis broker goes by itself."""

import threading

import pytest

from glance.testing.source_server import Answer
from tests import brokers

from .conftest import KILL, TERM, until
from .redis_server import RedisServer
from .test_remote_workers import Worker

brokers.import_kombu()
pytestmark = [pytest.mark.soak, pytest.mark.once]

ROUNDS, WORKERS, IMPORTS = 20, 5, 3
CONTENT = bytes(range(256)) * 64


class Gate:
    """A page that sends a half of itself, and the rest when the gate is open."""

    def __init__(self):
        self.asked = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self, _request):
        return Answer(self._pieces(), announced=len(CONTENT))

    def _pieces(self):
        yield CONTENT[: len(CONTENT) // 2]
        self.asked.release()
        self.open.wait()
        yield CONTENT[len(CONTENT) // 2 :]


@pytest.fixture
def redis():
    server = RedisServer()
    yield server
    server.end()


def test_a_hundred_killed_workers_leave_no_keys(
    redis, start, tmp_path, config, nursery, web, request
):
    web.pages['/image'] = gate = Gate()
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
    begun, posted = [], []

    def workers(count):
        for _ in range(count):
            log = tmp_path / f'worker-{len(begun)}.log'
            begun.append(Worker(path, log, nursery=nursery))
        return [one.await_ready() for one in begun[-count:]]

    request.addfinalizer(lambda: [one.end() for one in begun])
    for _round in range(ROUNDS):
        doomed = workers(WORKERS)
        posted += [api.import_(f'{web.url}/image') for _ in range(IMPORTS)]
        assert gate.asked.acquire(timeout=30)
        for worker in doomed:
            worker.signal(KILL)
            worker.exit_status()
    gate.open.set()
    last = workers(1)
    assert [api.ended(task_id)['status'] for task_id in posted] == ['success'] * len(posted)
    last[0].signal(TERM)
    assert last[0].exit_status() == 0
    api.signal(TERM)
    assert api.exit_status() == 0
    left = redis.keys()
    until(lambda: not redis.keys(), f'the end of the keys {left}', 90)
