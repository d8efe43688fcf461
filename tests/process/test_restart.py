"""Imports across the end of the process that runs them."""

import http.client
import threading

import psutil
import pytest

from glance.flows import import_image
from glance.testing.source_server import Answer

from .conftest import KILL, TERM, left_behind

WAYS = {
    'eventlet': {'task': {'task_executor': 'eventlet'}},
    'taskflow-serial': {'taskflow_executor': {'engine_mode': 'serial'}},
    'taskflow-parallel': {},
}


@pytest.fixture(params=list(WAYS))
def way(request):
    return WAYS[request.param]


def test_sigterm_amid_an_import_hands_it_back_and_it_runs_at_the_next_start(
    start, state, web, way
):
    web.pages['/image'] = web.silence()
    options = {'DEFAULT': {'graceful_shutdown_timeout': 6}}
    api = start(**way, **options).await_ready()
    task_id = api.import_(f'{web.url}/image')
    web.await_request('/image')
    api.signal(TERM)
    assert api.exit_status() == 0
    assert (
        f'Task {task_id} was handed back to the queue because the service is stopping' in api.log
    )

    web.pages['/image'] = b'bits'
    api = start(**way, **options).await_ready()
    task = api.ended(task_id)
    assert task['status'] == 'success'
    image_id = task['result']['image_id']
    assert api.call('GET', f'/v2/images/{image_id}/file') == (200, b'bits')
    [stored] = [name for name in left_behind(state) if name.startswith('images/')]
    assert stored.startswith(f'images/{image_id}.')


def test_an_import_whose_process_was_killed_begins_again_at_the_next_start(start, state, web, way):
    web.pages['/image'] = web.silence()
    api = start(**way).await_ready()
    task_id = api.import_(f'{web.url}/image')
    web.await_request('/image')
    api.signal(KILL)
    api.exit_status()

    web.pages['/image'] = b'bits'
    api = start(**way).await_ready()
    api.await_log('Freed 1 tasks of 1 processes')
    task = api.ended(task_id)
    assert task['status'] == 'success'
    api.signal(TERM)
    assert api.exit_status() == 0
    assert left_behind(state) == [f'images/{task["result"]["image_id"]}.2']


def test_a_pending_import_runs_at_the_next_start(start, web):
    web.pages['/image'] = b'bits'
    # Nothing is ever claimed by the first: its one slot is taken by a silent source.
    one = {'taskflow_executor': {'max_tasks': 1}}
    web.pages['/silent'] = web.silence()
    api = start(**one).await_ready()
    api.import_(f'{web.url}/silent')
    web.await_request('/silent')
    waiting = api.import_(f'{web.url}/image')
    assert api.task(waiting)['status'] == 'pending'
    api.signal(KILL)
    api.exit_status()
    web.pages['/silent'] = b'not any more'
    assert start(**one).await_ready().ended(waiting)['status'] == 'success'


@pytest.mark.soak
def test_an_import_whose_processes_are_killed_again_and_again_ends_well(start, web, settled):
    web.pages['/image'] = web.silence()
    options = {'task': {'max_attempts': 1}}
    api = start(**options).await_ready()
    task_id = api.import_(f'{web.url}/image')
    for claim in (1, 2, 3, 4):  # from the fourth on, in a child of the process
        web.await_request('/image', claim)
        api.signal(KILL)
        api.exit_status()
        api = start(**options).await_ready()
    web.await_request('/image', 5)
    api.signal(KILL)
    api.exit_status()
    web.pages['/image'] = b'not any more'
    assert start(**options).await_ready().ended(task_id)['status'] == 'success'
    settled({f'{web.url}/image': b'not any more'})


def test_a_stop_hands_back_what_a_child_runs(start, web, settled):
    web.pages['/image'] = web.silence()
    api = start().await_ready()
    task_id = api.import_(f'{web.url}/image')
    for claim in (1, 2, 3):  # the first gets further: its image has a row
        web.await_request('/image', claim)
        api.signal(KILL)
        api.exit_status()
        api = start().await_ready()
    web.await_request('/image', 4)
    [child] = psutil.Process(api.process.pid).children()
    api.signal(TERM)
    assert api.exit_status() == 0
    assert not child.is_running()
    assert f'Task {task_id} was handed back to the queue' in api.log
    web.pages['/image'] = b'not any more'
    assert start().await_ready().ended(task_id)['status'] == 'success'
    settled({f'{web.url}/image': b'not any more'})


def test_deaths_between_which_a_task_gets_further_do_not_count(start, web, settled):
    """Each process finishes one more step, remembers it, and dies at once."""
    web.pages['/image'] = b'bits'
    options = {'task': {'max_attempts': 2}}
    dying = start(fail_point='after-remember', **options).await_ready()
    task_id = dying.import_(f'{web.url}/image')
    assert dying.exit_status() == -KILL
    for _step in import_image.STEPS[1:-1]:  # the commit is not remembered
        dying = start(fail_point='after-remember', **options)
        assert dying.exit_status() == -KILL
    assert start(**options).await_ready().ended(task_id)['status'] == 'success'
    settled()


def test_a_request_that_has_begun_is_answered_before_the_end(start, web):
    size = 30 * 2**20
    web.pages['/image'] = b'\0' * size
    api = start().await_ready()
    image_id = api.ended(api.import_(f'{web.url}/image'))['result']['image_id']
    connection = http.client.HTTPConnection('127.0.0.1', api.port, timeout=30)
    connection.request('GET', f'/v2/images/{image_id}/file')
    answer = connection.getresponse()
    assert len(answer.read(1000)) == 1000  # the answer has begun, most of it is to come
    api.signal(TERM)
    api.await_log('Stopping')
    assert len(answer.read()) == size - 1000
    connection.close()
    assert api.exit_status() == 0


def test_without_a_timeout_a_stop_waits_for_the_tasks(start, state, web):
    go_on = threading.Event()

    def body():
        yield b'bi'
        go_on.wait(60)
        yield b'ts'

    web.pages['/image'] = lambda _request: Answer(body(), announced=4)
    api = start(DEFAULT={'graceful_shutdown_timeout': 0}).await_ready()
    task_id = api.import_(f'{web.url}/image')
    web.await_request('/image')
    api.signal(TERM)
    api.await_log('Waiting .* for 1 tasks to end')
    go_on.set()
    assert api.exit_status() == 0
    assert f'Task {task_id} ended: success' in api.log
