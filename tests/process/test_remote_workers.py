"""Steps that move bytes are done by glance-worker; the conductor keeps the state."""

import queue
import re
import signal
import threading
import urllib.parse
import uuid

import pytest

from glance.db import sessions, task_queue
from glance.db.worker_claims import WorkerClaims
from glance.domain.lease import Lease
from glance.domain.remote_steps import Announcement, Order, Question
from glance.engine import remote_steps
from glance.testing.source_server import Answer
from tests import brokers

from .conductors import Conductor
from .conftest import TERM, until
from .relay import Relay

brokers.import_kombu()
pytestmark = pytest.mark.soak  # they need brokers

from glance.messaging.broker import Broker  # noqa: E402
from glance.messaging.link import Link  # noqa: E402

CONTENT = bytes(range(256)) * 4096 * 8
WORKER_TIMEOUT = 3.0


@pytest.fixture(params=['redis', pytest.param('amqp', marks=pytest.mark.soak)])
def sections(request, missing):
    """The configuration of all processes of a test."""
    where = brokers.address(request.param, missing)
    return {
        'taskflow_executor': {'engine_mode': 'worker-based'},
        'taskflow_workers': where.options(worker_timeout=WORKER_TIMEOUT),
    }


@pytest.fixture
def start_worker(begin_worker, config, sections):
    """start_worker(): a glance-worker that takes orders, and has its steps in its log."""
    return lambda: begin_worker(config(**sections, DEFAULT={'debug': True}))


@pytest.fixture
def api(start, sections):
    return start(**sections).await_ready()


@pytest.fixture
def source(web):
    """The address of an image whose first download stops halfway until the test lets it go on."""
    web.go_on = threading.Event()

    def half():
        yield CONTENT[: len(CONTENT) // 2]
        web.go_on.wait()
        yield CONTENT[len(CONTENT) // 2 :]

    halves = [Answer(half(), announced=len(CONTENT))]
    web.pages['/image'] = lambda request: halves.pop() if halves else CONTENT
    yield f'{web.url}/image'
    web.go_on.set()


def test_a_worker_does_the_steps_that_move_bytes(api, start_worker, web, settled):
    worker = start_worker()
    web.pages['/image'] = CONTENT
    task_id = api.import_(f'{web.url}/image')
    assert api.ended(task_id)['status'] == 'success'
    assert worker.steps() == [(task_id, step) for step in ('fetch', 'check', 'store')]
    settled({f'{web.url}/image': CONTENT})


def test_a_step_that_fails_at_a_worker_fails_the_task(api, start_worker, web, settled):
    start_worker()
    task_id = api.import_(f'{web.url}/nothing')
    task = api.ended(task_id)
    assert task['status'] == 'failure'
    assert '404' in task['message']
    settled()


def test_tasks_wait_for_a_worker(api, start_worker, web):
    web.pages['/image'] = CONTENT
    task_id = api.import_(f'{web.url}/image')
    api.await_log('No worker has announced itself; 1 steps wait')
    assert api.task(task_id)['status'] == 'processing'
    start_worker()
    assert api.ended(task_id)['status'] == 'success'


def test_tasks_that_have_no_worker_here_are_left_to_a_conductor_that_has(
    start, config, sections, start_worker, web, nursery, tmp_path
):
    web.pages['/image'] = CONTENT[:1000]
    others = sections | {
        'taskflow_workers': sections['taskflow_workers'] | {'topics': 'of-nobody'},
        'DEFAULT': {'debug': True},
    }
    api = start(**others).await_ready()
    kept = remote_steps.MOST_IN_LINE
    tasks = {api.import_(f'{web.url}/image') for _ in range(3 * kept)}
    until(lambda: len(tasks_that_are(api)) >= kept, 'its claims')
    start_worker()
    path = tmp_path / 'conductor.conf'
    path.write_text(config(**sections).read_text())
    conductor = Conductor(path, tmp_path / 'conductor.log', nursery=nursery)
    try:
        until(lambda: len(tasks_that_are(api, 'success')) >= len(tasks) - 2 * kept, 'the others')
    finally:
        conductor.end()


def tasks_that_are(api, status='processing'):
    """The ids of the tasks of a status."""
    _status, listed = api.call('GET', f'/v2/tasks?status={status}&limit=200')
    return [task['id'] for task in listed['tasks']]


def test_an_order_that_somebody_copies_does_nothing_at_another_worker(
    api, start_worker, web, source, settled, database, sections
):
    """Whoever can write to the broker knows the order, and sends it on to everybody."""
    chosen = start_worker()
    task_id = api.import_(source)
    web.await_request('/image')
    other = start_worker()
    asked = sessions.open_database(database)
    lease = Lease(task_id, 1)
    [(address, sending)] = WorkerClaims(asked).read(lease).sent.choices.values()
    asked.close()
    heard = queue.SimpleQueue()
    where = sections['taskflow_workers']
    broker = Broker(where['transport'], where['address'], where['exchange'])
    link = Link(broker, uuid.uuid4().hex, heard.put)
    link.start()
    link.send_to_all(Question())
    addresses = set()
    while len(addresses) < 2:
        message = heard.get(timeout=60)
        if isinstance(message, Announcement):
            addresses.add(message.worker)
    for made_up in (sending, str(uuid.uuid4())):
        order = Order(task_id, 1, 'fetch', link.address, made_up)
        for to in addresses:
            link.send(to, order)
    refused = f'Task {task_id}: an order was refused'
    until(lambda: other.log.count(refused) == 2, 'the refusals of the other worker')
    chosen.await_log(refused)
    web.go_on.set()
    assert api.ended(task_id)['status'] == 'success'
    assert address in addresses
    assert (chosen.log.count(refused), other.steps()) == (1, [])
    assert re.findall(rf'Task {task_id} (?:begun|goes on), claim (\d+)', api.log) == ['1']
    link.stop()
    settled({source: CONTENT})


@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGSTOP])
def test_another_worker_goes_on_where_one_is_lost(api, start_worker, web, source, settled, number):
    one = start_worker()
    task_id = api.import_(source)
    web.await_request('/image')
    other = start_worker()
    one.signal(number)
    assert api.ended(task_id)['status'] == 'success'
    assert (task_id, 'fetch') in other.steps()
    settled({source: CONTENT})
    if number == signal.SIGSTOP:
        before = api.call('GET', '/v2/images')
        one.signal(signal.SIGCONT)
        web.go_on.set()
        one.await_log(f'Task {task_id}: step fetch was stopped')
        assert api.call('GET', '/v2/images') == before
        settled({source: CONTENT})


def test_a_worker_that_stops_hands_its_steps_back(api, start_worker, web, source, settled):
    one = start_worker()
    task_id = api.import_(source)
    web.await_request('/image')
    other = start_worker()
    one.signal(TERM)
    assert api.ended(task_id)['status'] == 'success'
    assert one.exit_status() == 0
    assert (task_id, 'fetch') in other.steps()
    settled({source: CONTENT})


@pytest.fixture
def relay(sections):
    """The way of conductor and workers to the broker."""
    address = sections['taskflow_workers']['address']
    parts = urllib.parse.urlsplit(address)
    relay = Relay(parts.hostname, parts.port)
    through = address.replace(f'{parts.hostname}:{parts.port}', f'127.0.0.1:{relay.port}')
    sections['taskflow_workers']['address'] = through
    yield relay
    relay.close()


def test_no_run_is_dropped_because_the_broker_is_away(
    relay, start, sections, start_worker, web, source, settled
):
    """It is away for longer than a worker may be silent."""
    api = start(**sections).await_ready()
    worker = start_worker()
    task_id = api.import_(source)
    web.await_request('/image')
    relay.cut()
    for process in (api, worker):
        process.await_log(r'The message broker has been away for \d+ seconds')
    web.go_on.set()  # the step ends meanwhile, and nobody hears it
    worker.await_log(f'Task {task_id}: step fetch done')
    relay.mend()
    assert api.ended(task_id)['status'] == 'success'
    assert re.findall(rf'Task {task_id} (?:begun|goes on), claim (\d+)', api.log) == ['1']
    assert worker.steps() == [(task_id, step) for step in ('fetch', 'check', 'store')]
    settled({source: CONTENT})


def test_a_cancel_reaches_the_step_at_a_worker(api, start_worker, web, source, settled, database):
    start_worker()
    task_id = api.import_(source)
    web.await_request('/image')
    asked = sessions.open_database(database)
    assert task_queue.SqlTaskQueue(asked, time_to_live=48).cancel(task_id)
    asked.close()
    task = api.ended(task_id)
    assert (task['status'], 'ancel' in task['message']) == ('failure', True)
    settled()
