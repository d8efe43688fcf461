"""glance-api that accepts tasks, glance-conductor that runs them."""

import collections
import contextlib
import signal
import threading

import psutil
import pytest

from glance.testing.source_server import Answer
from tests import databases

from .conductors import Conductor
from .conftest import INT, KILL, PATIENCE, TERM, until
from .test_wsgi_servers import SERVERS, Server, program

APART = {'task': {'conduct': False}}
IMPORTS = 20
# With native threads it is the program itself that starts, which takes long.
KINDS = ['green', pytest.param('native', marks=pytest.mark.soak)]


@pytest.fixture
def conduct(tmp_path, nursery):
    """conduct(): a glance-conductor with the file that the API was started with."""
    begun = []

    def begin(**environment):
        log = tmp_path / f'conductor-{len(begun)}.log'
        # The nursery has green threads; native ones need the program itself.
        green = environment.get('GLANCE_THREADS', 'green') == 'green'
        parent = nursery if green else None
        conductor = Conductor(tmp_path / 'glance-api.conf', log, nursery=parent, **environment)
        begun.append(conductor)
        return conductor

    yield begin
    for conductor in begun:
        conductor.end()


class Gate:
    """A page that sends its first byte when so many requests wait, and the rest when told."""

    def __init__(self, requests):
        self._all_here = threading.Barrier(requests)

    def __call__(self, _request):
        return Answer(self._pieces(), announced=4)

    def _pieces(self):
        with contextlib.suppress(threading.BrokenBarrierError):
            self._all_here.wait(PATIENCE)
            yield b'bits'


@pytest.mark.parametrize('count', [1, 2])
def test_the_api_leaves_tasks_to_a_conductor(start, conduct, state, web, count):
    web.pages['/image'] = b'bits'
    api = start(DEFAULT={'workers': count}, **APART).await_ready()
    until(lambda: api.log.count('Serving as process') == count, 'the start of the workers')
    assert 'Tasks are run by glance-conductor, not here' in api.log
    assert list(state.glob('run/*.owner')) == []  # it can hold no lease
    assert not (state / 'staging').exists()
    task_id = api.import_(f'{web.url}/image')
    assert api.task(task_id)['status'] == 'pending'

    conductor = conduct().await_ready()
    task = api.ended(task_id)
    assert task['status'] == 'success'
    assert api.call('GET', f'/v2/images/{task["result"]["image_id"]}/file') == (200, b'bits')
    assert conductor.begun() == [task_id]
    assert f'Task {task_id} begun, claim 1' in conductor.log
    assert 'begun' not in api.log
    assert len(web.requests) == 1
    process = psutil.Process(conductor.process.pid)
    sockets = process.net_connections('tcp')
    assert [each for each in sockets if each.status == psutil.CONN_LISTEN] == []
    soft, hard = process.rlimit(psutil.RLIMIT_NOFILE)
    assert soft == hard or soft >= 65536  # many imports hold many files
    assert 'Tasks are run by taskflow (parallel), in this process' in conductor.log
    api.signal(TERM)
    assert api.exit_status() == 0


@pytest.mark.parametrize(
    ('kind', 'number'),
    [
        ('green', TERM),
        pytest.param('green', INT, marks=pytest.mark.soak),
        pytest.param('native', TERM, marks=pytest.mark.soak),
    ],
)
def test_a_conductor_that_is_stopped_hands_back_what_another_takes_up(
    start, conduct, web, kind, number
):
    web.pages['/image'] = web.silence()
    api = start(DEFAULT={'graceful_shutdown_timeout': 6}, **APART).await_ready()
    first = conduct(GLANCE_THREADS=kind).await_ready()
    task_id = api.import_(f'{web.url}/image')
    web.await_request('/image')
    first.signal(number)
    first.await_log('Stopping: no new tasks')
    waiting = api.import_(f'{web.url}/image')
    assert first.exit_status() == 0
    assert (
        f'Task {task_id} was handed back to the queue because the service is stopping' in first.log
    )
    assert first.begun() == [task_id]
    assert api.task(waiting)['status'] == 'pending'

    web.pages['/image'] = b'bits'
    second = conduct(GLANCE_THREADS=kind).await_ready()
    assert api.ended(task_id)['status'] == 'success'
    assert api.ended(waiting)['status'] == 'success'
    assert f'Task {task_id} goes on, claim 2' in second.log
    second.signal(number)
    assert second.exit_status() == 0


@pytest.mark.parametrize('kind', KINDS)
def test_a_step_that_ends_in_time_ends_its_task(start, conduct, web, kind):
    go_on = threading.Event()

    def pieces():
        yield b'bi'
        go_on.wait(PATIENCE)
        yield b'ts'

    web.pages['/image'] = lambda _request: Answer(pieces(), announced=4)
    api = start(DEFAULT={'graceful_shutdown_timeout': 60}, **APART).await_ready()
    conductor = conduct(GLANCE_THREADS=kind).await_ready()
    task_id = api.import_(f'{web.url}/image')
    web.await_request('/image')
    conductor.signal(TERM)
    conductor.await_log('Waiting 55 seconds at most for 1 tasks to end')
    go_on.set()
    assert conductor.exit_status() == 0
    assert api.task(task_id)['status'] == 'success'


@pytest.mark.once
@pytest.mark.parametrize('kind', KINDS)
def test_the_second_signal_ends_a_conductor_at_once(start, conduct, web, kind):
    web.pages['/image'] = web.silence()
    api = start(DEFAULT={'graceful_shutdown_timeout': 600}, **APART).await_ready()
    conductor = conduct(GLANCE_THREADS=kind).await_ready()
    api.import_(f'{web.url}/image')
    web.await_request('/image')
    conductor.signal(INT)
    conductor.await_log('Waiting 595 seconds')
    conductor.signal(INT)
    assert conductor.exit_status() == -INT


def test_a_signal_that_a_library_handles_does_not_end_a_conductor(start, conduct):
    start(**APART).await_ready()
    conductor = conduct().await_ready()
    conductor.signal(signal.SIGUSR2)  # the nursery handles it
    conductor.await_log('Stack of')
    conductor.signal(TERM)
    assert conductor.exit_status() == 0
    assert 'Traceback' not in conductor.log


def test_what_a_killed_conductor_ran_goes_on_at_once_in_the_next(start, conduct, web):
    web.pages['/image'] = web.silence()
    sections = {'task': {'conduct': False, 'lease_time': 600}}
    api = start(**sections).await_ready()
    conductor = conduct().await_ready()
    task_id = api.import_(f'{web.url}/image')
    web.await_request('/image')
    conductor.signal(KILL)
    conductor.exit_status()
    web.pages['/image'] = b'bits'
    conduct().await_log('Freed 1 tasks of 1 processes')
    assert api.ended(task_id)['status'] == 'success'


@pytest.mark.once
@pytest.mark.parametrize('kind', KINDS)
def test_a_conductor_reads_its_configuration_again(start, conduct, config, web, kind):
    web.pages['/image'] = b'bits'
    api = start(**APART).await_ready()
    conductor = conduct(GLANCE_THREADS=kind).await_ready()
    path = config(DEFAULT={'debug': True}, **APART)
    conductor.signal(signal.SIGHUP)
    conductor.await_log('was read again')
    assert api.ended(api.import_(f'{web.url}/image'))['status'] == 'success'
    conductor.await_log(' DEBUG glance.')
    path.write_text('this is no option\n')
    conductor.signal(signal.SIGHUP)
    conductor.await_log('The configuration stays as it was')
    conductor.signal(TERM)
    assert conductor.exit_status() == 0


@pytest.mark.on(*databases.SERVERS)
def test_two_conductors_share_what_waits_and_run_nothing_twice(start, conduct, web):
    """No import ends before all 20 have begun, and each conductor has room for 10."""
    gate = Gate(IMPORTS)
    paths = [f'/image-{number}' for number in range(IMPORTS)]
    web.pages.update(dict.fromkeys(paths, gate))
    half = {'taskflow_executor': {'max_tasks': IMPORTS // 2, 'max_workers': IMPORTS // 2}}
    api = start(**APART, **half).await_ready()
    both = [conduct().await_ready(), conduct().await_ready()]
    tasks = [api.import_(f'{web.url}{path}') for path in paths]
    assert {api.ended(task)['status'] for task in tasks} == {'success'}
    assert collections.Counter(request.path for request in web.requests) == dict.fromkeys(paths, 1)
    begun = [conductor.begun() for conductor in both]
    assert [len(each) for each in begun] == [10, 10]
    assert sorted(begun[0] + begun[1]) == sorted(tasks)
    for conductor in both:
        conductor.signal(TERM)
    assert [conductor.exit_status() for conductor in both] == [0, 0]


@pytest.mark.parametrize(
    ('sections', 'sentence'),
    [
        ({'task': {'task_executor': 'nobody'}}, 'task_executor = nobody is not known'),
        ({'import_filtering_opts': {'ca_file': '/nowhere'}}, 'ca_file: /nowhere cannot be read'),
    ],
)
def test_what_only_a_runner_needs_stops_a_conductor_and_not_the_api(
    start, conduct, sections, sentence
):
    task = {'conduct': False} | sections.pop('task', {})
    api = start(task=task, **sections).await_ready()
    conductor = conduct()
    assert conductor.exit_status() == 1
    assert sentence in conductor.log
    assert 'Traceback' not in conductor.log
    assert api.call('GET', '/v2/tasks')[0] == 200


@pytest.mark.once
def test_an_executor_that_needs_green_threads_says_so_in_native_ones(start, conduct):
    start(task={'conduct': False, 'task_executor': 'eventlet'}).await_ready()
    conductor = conduct(GLANCE_THREADS='native')
    assert conductor.exit_status() == 1
    assert 'task_executor = eventlet needs green threads' in conductor.log


@pytest.mark.once
@pytest.mark.parametrize('name', ['uwsgi', pytest.param('gunicorn', marks=pytest.mark.soak)])
def test_another_wsgi_server_leaves_tasks_to_a_conductor(
    config, conduct, tmp_path, state, web, missing, name
):
    """Also those of the eventlet executor, which native threads could not run."""
    if program(name) is None:
        missing(f'There is no {name} here.')
    web.pages['/image'] = b'bits'
    path = config(task={'conduct': False, 'task_executor': 'eventlet'})
    with contextlib.ExitStack() as stack:
        server = Server(SERVERS[name], path, tmp_path / 'log')
        stack.callback(server.end)
        server.await_ready()
        assert list(state.glob('run/*.owner')) == []
        task_id = server.import_(f'{web.url}/image')
        assert server.task(task_id)['status'] == 'pending'
        conduct().await_ready()
        assert server.ended(task_id)['status'] == 'success'
        server.signal(TERM)
        assert server.exit_status() == 0
        assert 'Tasks are run by glance-conductor, not here' in server.log
