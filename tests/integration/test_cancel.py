"""A cancel amid whatever an import may wait for. Only the cancel can end these waits.

With GLANCE_THREADS=native, as under uWSGI and gunicorn, all of it holds for native threads.
"""

import contextlib
import errno
import socket
import threading

import pytest

from glance import threads, toolbox
from glance.image_data.files import Disk
from glance.image_data.resolving import SystemResolver
from glance.stores.filesystem import FilesystemStore
from glance.testing.observed_queue import PATIENCE
from glance.testing.source_server import Answer, Silence

MIB = bytes(2**20)
PATIENT = {'connect_timeout': 600, 'read_timeout': 600, 'total_timeout': 0}
EXECUTORS = [
    pytest.param('eventlet', marks=pytest.mark.green),
    'taskflow-parallel',
    pytest.param('taskflow-serial', marks=pytest.mark.soak),
]


class Gate:
    """Holds native threads of the service until the test ends."""

    def __init__(self):
        original = threads.original('threading')
        self.entered, self._open = original.Event(), original.Event()

    def wait(self):
        self.entered.set()
        self._open.wait(PATIENCE)

    def open(self):
        self._open.set()


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open()


def cancelled(service, task_id, reason='enough'):
    """Cancel a task by HTTP. Returns it when it has ended."""
    answer = service.call(
        'POST',
        f'/v2/tasks/{task_id}/cancel',
        json={'reason': reason},
        headers={'Content-Type': 'application/json'},
    )
    assert (answer.status_int, answer.json['cancel_reason']) == (202, reason)
    return service.ended(task_id)


def check(service, task, *, is_interrupted=True):
    """is_interrupted  whether the wait itself ends; else the run is dropped, and a later claim
    discards what there is
    """
    assert (task['status'], task['message']) == ('failure', 'The task was cancelled on request.')
    assert (task['cancelled'], task['cancel_reason']) == (True, 'enough')
    assert task['created_at'] <= task['cancelled_at'] <= task['updated_at']
    assert service.files() == []
    assert service.call('GET', '/v2/images').json['images'] == []
    events = service.call('GET', f'/v2/tasks/{task["id"]}/events').json['events']
    claims = {event.get('attempt') for event in events} - {None}
    assert not is_interrupted or claims <= {1}, events


def until(true):
    waits = threading.Event()
    for _ in range(int(PATIENCE / 0.02)):
        if true():
            return
        waits.wait(0.02)
    raise TimeoutError


def open_ended(asked, *, piece):
    """A body that begins with a piece, and goes on when the client is gone."""

    def pieces():
        yield piece
        asked.set()
        while piece is MIB:
            yield piece
        threading.Event().wait(PATIENCE)

    return lambda _request: Answer(pieces(), announced=2**30)


@pytest.mark.parametrize('executor', EXECUTORS)
@pytest.mark.parametrize('piece', [b'a', MIB], ids=['silent after a byte', 'amid a chunk'])
def test_a_source_that_sends(make_service, web, executor, piece):
    asked = threading.Event()
    web.pages['/a'] = open_ended(asked, piece=piece)
    service = make_service(executor, import_filtering_opts=PATIENT).start()
    task_id = service.import_(f'{web.url}/a').json['id']
    assert asked.wait(PATIENCE)
    check(service, cancelled(service, task_id))


@pytest.mark.parametrize('executor', EXECUTORS)
def test_a_source_that_does_not_answer(make_service, web, executor):
    web.pages['/a'] = Silence()
    service = make_service(executor, import_filtering_opts=PATIENT).start()
    task_id = service.import_(f'{web.url}/a').json['id']
    until(lambda: web.requests)
    check(service, cancelled(service, task_id))


@contextlib.contextmanager
def waiting_to_be_fetched(make_service, executor, address, **options):
    """An import, when its fetch has begun. Gives the service and the id of the task."""
    port = int(address.rpartition(':')[2].partition('/')[0])
    service = make_service(
        executor, import_filtering_opts=PATIENT | {'allowed_ports': [port]} | options
    ).start()
    task_id = service.import_(address).json['id']
    runs = toolbox.current().runs
    until(lambda: any(run.progress.step == 1 and run.at_work for run in runs))
    yield service, task_id


@pytest.mark.parametrize('executor', EXECUTORS)
def test_a_source_that_does_not_accept_a_connection(make_service, executor):
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(('127.0.0.1', 0))
        deaf.listen(0)
        for client in (first, second):  # they fill its queue: whoever comes then waits
            client.setblocking(False)
            client.connect_ex(deaf.getsockname())
        address = f'http://127.0.0.1:{deaf.getsockname()[1]}/a'
        with waiting_to_be_fetched(make_service, executor, address) as (service, task_id):
            check(service, cancelled(service, task_id))


@pytest.mark.parametrize('executor', EXECUTORS)
@pytest.mark.parametrize('through', ['source', 'proxy'])
def test_one_that_accepts_a_connection_and_says_nothing(make_service, executor, through):
    """It agrees to no secure connection, or opens no tunnel to the source."""
    with socket.create_server(('127.0.0.1', 0)) as silent:
        place = f'127.0.0.1:{silent.getsockname()[1]}'
        proxy = {'proxy': f'http://{place}'} if through == 'proxy' else {}
        address = f'https://{place}/a'
        with (
            waiting_to_be_fetched(make_service, executor, address, **proxy) as (service, task),
            silent.accept()[0] as accepted,
        ):
            accepted.recv(1)  # now it waits for an answer
            check(service, cancelled(service, task))


@pytest.mark.parametrize('executor', EXECUTORS)
def test_the_wait_for_the_next_try(make_service, web, executor):
    web.pages['/a'] = Answer(status=503, headers=[('Retry-After', '600')])
    times = {'retry_delay_max': 600, 'retry_timeout': 3600}
    with waiting_to_be_fetched(make_service, executor, f'{web.url}/a', **times) as (service, task):
        until(lambda: web.requests)
        check(service, cancelled(service, task))


@pytest.mark.parametrize('executor', EXECUTORS)
def test_a_name_that_nobody_answers_for(make_service, web, gate, executor):
    asked = []

    def look_up(host, port):
        asked.append(host)
        if len(asked) > 1:  # the first question is that of the POST
            gate.wait()
        return ['127.0.0.1']

    options = PATIENT | {'allowed_hosts': ['slow.example', '127.0.0.1']}
    service = make_service(
        executor,
        import_filtering_opts=options,
        replacements={'resolver': SystemResolver(look_up=look_up, timeout=600)},
    ).start()
    task_id = service.import_(f'http://slow.example:{web.port}/a').json['id']
    until(gate.entered.is_set)
    check(service, cancelled(service, task_id))


@pytest.mark.parametrize('executor', EXECUTORS)
def test_bytes_that_wait_to_be_hashed(make_service, web, gate, executor):
    web.pages['/a'] = MIB * 8
    service = make_service(executor, import_filtering_opts=PATIENT).start()
    pool = toolbox.current().byte_threads
    for _ in range(service.conf.task.byte_threads):
        pool.submit(gate.wait)
    task_id = service.import_(f'{web.url}/a').json['id']
    until(lambda: any(run.progress.step == 1 for run in toolbox.current().runs))
    until(lambda: service.files())
    check(service, cancelled(service, task_id), is_interrupted=False)


class SlowDisk(Disk):
    """Another file system than the staging area, that has stopped to answer."""

    def __init__(self, gate):
        self._gate = gate

    def link(self, path, target):
        raise OSError(errno.EXDEV, 'another file system')

    def copy_range(self, source, target, most):
        if self._gate.entered.is_set():
            return super().copy_range(source, target, most)
        self._gate.wait()
        return super().copy_range(source, target, 1)


@pytest.mark.parametrize('executor', EXECUTORS)
def test_a_copy_to_a_store(make_service, web, gate, tmp_path, executor):
    web.pages['/a'] = MIB
    folder = tmp_path / 'state' / 'images'
    store = FilesystemStore(str(folder), disk=SlowDisk(gate))
    service = make_service(executor, replacements={'stores': {'slow': store}}).start()
    task_id = service.import_(f'{web.url}/a').json['id']
    until(gate.entered.is_set)
    check(service, cancelled(service, task_id), is_interrupted=False)
    gate.open()
    until(lambda: service.files() == [])


def test_what_has_ended_is_not_cancelled(make_service, web):
    web.pages['/a'] = b'a'
    service = make_service().start()
    task = service.ended(service.import_(f'{web.url}/a').json['id'])
    answer = service.call('POST', f'/v2/tasks/{task["id"]}/cancel')
    assert answer.status_int == 409
    assert service.ended(task['id']) == task


def test_a_task_that_never_began_ends_without_a_conductor(make_service, web):
    web.pages['/a'] = b'a'
    service = make_service(task={'conduct': False}).start()
    task_id = service.import_(f'{web.url}/a').json['id']
    check(service, cancelled(service, task_id))
    again = service.call('POST', f'/v2/tasks/{task_id}/cancel')
    assert again.status_int == 409
