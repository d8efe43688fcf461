"""Many flows on few threads: slow sources are all received at once, and hold up nobody."""

import os
import threading
import time

import pytest

from glance import threads
from glance.testing.observed_queue import PATIENCE
from glance.testing.source_server import Answer

from .conftest import ADMIN

SOURCES = 500
OVERTAKEN = 200
MOST_THREADS = 32  # native ones, of the whole process

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(
        not threads.is_green(), reason='A process with native threads has one for each flow.'
    ),
]


def native_threads():
    return len(os.listdir('/proc/self/task'))


class Slow:
    """Sends 1 KiB each second, until it is told to end; knows who was received from."""

    def __init__(self):
        self.begun = set()
        self.over = threading.Event()

    def page(self, request):
        return Answer(self._pieces(request.path), announced=False)

    def _pieces(self, name):
        yield b'\x5a' * 1024
        self.begun.add(name)
        while not self.over.wait(1):
            yield b'\x5a' * 1024


@pytest.mark.parametrize(
    'executor', ['taskflow-parallel', pytest.param('eventlet', marks=pytest.mark.soak)]
)
def test_hundreds_of_slow_sources_are_received_at_once_on_few_threads(executor, make_service, web):
    before = native_threads()  # earlier tests have left some that wait for work
    service = make_service(executor, taskflow_executor={'max_tasks': SOURCES + 2}).start()
    slow = Slow()
    posted = []
    for number in range(SOURCES):
        web.pages[f'/{number}'] = slow.page
        posted.append(service.import_(f'{web.url}/{number}').json['id'])
    until = time.monotonic() + 3 * PATIENCE  # for half a thousand requests and fetches
    while len(slow.begun) < SOURCES:
        assert time.monotonic() < until, f'{len(slow.begun)} of {SOURCES} are received'
        time.sleep(0.05)

    web.pages['/fast'] = Answer([b'\x5a' * 2**20] * 16)
    fast = service.ended(service.import_(f'{web.url}/fast').json['id'])
    at_once = len(service.application.executor.runs)
    used = native_threads() - before + 1

    slow.over.set()
    assert fast['status'] == 'success', fast['message']
    assert at_once >= SOURCES
    assert used <= MOST_THREADS
    ends = {service.ended(task_id)['status'] for task_id in posted}
    assert ends == {'success'}


def test_flows_that_wait_for_their_source_hold_no_thread_of_the_pool(make_service, web):
    """Of one native thread, while many have bytes for it and then fall silent."""
    service = make_service(
        task={'byte_threads': 1},
        import_filtering_opts={'read_timeout': 3 * PATIENCE},  # nobody is too silent here
    ).start()
    over = threading.Event()
    begun = []

    def held(request):
        def pieces():
            yield b'\x5a' * 2**20 * 3  # more than what is hashed where it is received
            begun.append(request.path)
            over.wait(3 * PATIENCE)

        return Answer(pieces(), announced=False)

    posted = []
    for number in range(20):
        web.pages[f'/{number}'] = held
        posted.append(service.import_(f'{web.url}/{number}').json['id'])
    while len(begun) < 20:
        time.sleep(0.01)
    web.pages['/fast'] = Answer([b'\x5a' * 2**20] * 8)
    fast = service.ended(service.import_(f'{web.url}/fast').json['id'])
    assert fast['status'] == 'success'
    runs = service.application.executor.runs
    while len(runs) > 20:  # that of the fast one, which has all but ended
        time.sleep(0.01)
    assert len(runs) == 20
    over.set()
    assert {service.ended(task_id)['status'] for task_id in posted} == {'success'}


class Silent:
    """Holds each connection open, and sends nothing or a little until it is told to end."""

    def __init__(self, head):
        self.head = head  # whether it sends a head and some bytes before it falls silent
        self.asked = set()
        self.over = threading.Event()

    def page(self, request):
        if self.head:
            return Answer(self._pieces(request.path), announced=False)
        self.asked.add(request.path)
        self.over.wait(3 * PATIENCE)
        return Answer(b'')

    def _pieces(self, name):
        yield b'\x5a' * 1024
        self.asked.add(name)
        self.over.wait(3 * PATIENCE)


@pytest.mark.parametrize(
    'head',
    [False, pytest.param(True, marks=pytest.mark.soak)],
    ids=['silent', 'silent after the head'],
)
@pytest.mark.parametrize(
    'executor',
    [
        'taskflow-parallel',
        pytest.param('taskflow-serial', marks=pytest.mark.soak),
        pytest.param('eventlet', marks=pytest.mark.soak),
    ],
)
def test_a_task_overtakes_hundreds_that_wait_for_their_source(executor, head, make_service, web):
    """With the numbers that nobody has configured."""
    service = make_service(
        executor,
        import_filtering_opts={'read_timeout': 3 * PATIENCE},  # nobody is too silent here
    ).start()
    silent = Silent(head)
    web.pages['/good'] = Answer(b'\x5a' * 1024)
    posted = []
    for number in range(OVERTAKEN):
        web.pages[f'/{number}'] = silent.page
        posted.append(service.import_(f'{web.url}/{number}').json['id'])
    good = service.ended(service.import_(f'{web.url}/good').json['id'])
    assert good['status'] == 'success', good['message']
    runs = service.application.executor.runs
    assert {run.claim.lease.task_id for run in runs} >= set(posted)
    # What has no answer yet waits, and is handed back when the service stops.
    service.application.executor.stop(grace=0)
    assert runs.wait_until_idle(PATIENCE)
    silent.over.set()
    tasks = service.application.services.tasks
    assert {tasks.get(task_id, by=ADMIN).status for task_id in posted} == {'processing'}
