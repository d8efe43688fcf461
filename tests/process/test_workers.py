"""Several processes: replaced, reloaded, stopped, and what their tasks come to."""

import concurrent.futures
import os
import re
import signal

import psutil
import pytest

from glance.testing.source_server import Silence

from .conftest import INT, KILL, TERM, until

TWO = {'workers': 2, 'graceful_shutdown_timeout': 10}


def workers(api):
    return psutil.Process(api.process.pid).children()


@pytest.fixture
def two(start):
    """two(**sections): a glance-api whose two workers both serve."""

    def begin(**sections):
        sections['DEFAULT'] = TWO | sections.get('DEFAULT', {})
        api = start(**sections).await_ready()
        until(lambda: api.log.count('Serving as process') == 2, 'the start of both workers')
        return api

    return begin


def holder(api, task_id):
    """The worker that runs a task."""
    found = api.await_log(rf' (\d+) INFO glance.engine.lifecycle \[\S+ {task_id}\] Task \S+ begun')
    return int(found[1])


def test_both_workers_end_with_the_service(two):
    api = two()
    begun = workers(api)
    assert len(begun) == 2
    api.signal(TERM)
    assert api.exit_status() == 0
    assert not any(worker.is_running() for worker in begun)


def test_the_task_of_a_dead_worker_goes_on_at_once(two, web):
    """Leases last 30 seconds; the worker that takes the place frees those of the dead."""
    web.pages['/image'] = Silence()
    api = two(task={'lease_time': 600})
    task_id = api.import_(f'{web.url}/image')
    web.await_request('/image')
    dead = holder(api, task_id)
    web.pages['/image'] = b'bits'
    os.kill(dead, KILL)
    assert api.ended(task_id)['status'] == 'success'
    assert f'Worker {dead} has died' in api.log
    assert 'Freed 1 tasks of 1 processes' in api.log
    until(lambda: len(workers(api)) == 2, 'the second worker')


def test_workers_that_cannot_start_end_the_service(start, tmp_path):
    (tmp_path / 'policy.yaml').write_text('get_images: [')
    api = start(DEFAULT=TWO, oslo_policy={'policy_file': tmp_path / 'policy.yaml'})
    assert api.exit_status() == 1
    assert 'could not start; no other is tried' in api.log
    assert 3 <= len(re.findall(r'Worker \d+ could not start', api.log)) <= 4
    assert api.log.count('glance-api: [oslo_policy] policy_file = ') == 1


def test_ctrl_c_hands_back_the_tasks_of_workers(two, web):
    web.pages['/image'] = Silence()
    api = two(DEFAULT={'graceful_shutdown_timeout': 6})
    api.import_(f'{web.url}/image')
    web.await_request('/image')
    begun = workers(api)
    os.killpg(api.process.pid, INT)  # as a terminal does: to all of them
    assert api.exit_status() == 0
    assert 'was handed back to the queue because the service is stopping' in api.log
    assert not any(worker.is_running() for worker in begun)


def test_ctrl_c_twice_stops_all_at_once(two, web):
    web.pages['/image'] = Silence()
    api = two(DEFAULT={'graceful_shutdown_timeout': 600})
    api.import_(f'{web.url}/image')
    web.await_request('/image')
    begun = workers(api)
    api.signal(INT)
    until(lambda: api.log.count('Stopping: ') == 2, 'the beginning of both ends')
    api.signal(INT)
    assert api.exit_status() == -INT
    until(lambda: not any(worker.is_running() for worker in begun), 'the end of the workers')


def test_workers_end_when_their_parent_is_killed(two):
    api = two()
    begun = workers(api)
    api.signal(KILL)
    api.exit_status()
    until(lambda: not any(worker.is_running() for worker in begun), 'the end of the workers')


def test_a_worker_that_hangs_is_killed_after_the_grace_time(two):
    api = two(DEFAULT={'graceful_shutdown_timeout': 2})
    hung = workers(api)[0]
    hung.suspend()
    api.signal(TERM)
    assert api.exit_status() == 1
    assert not hung.is_running()


def reloaded(api):
    return set(re.findall(r' (\d+) INFO .*was read again', api.log))


@pytest.mark.parametrize('count', [1, 2])
def test_a_reload_takes_effect_and_loses_no_request(start, config, web, count):
    # A task makes the lines of debug; the workers share one file.
    sections = {'DEFAULT': {'workers': count}}
    api = start(**sections).await_ready()
    until(lambda: api.log.count('Serving') == count, 'the start of the workers')
    sections['DEFAULT'] |= {'debug': True, 'bind_port': api.port}
    config(**sections)

    def ask(_number):
        return api.call('GET', '/v2/tasks')[0]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asking = pool.map(ask, range(400))
        for number in range(3):  # also while the one before is under way
            api.signal(signal.SIGHUP)
            until(lambda n=number: api.log.count('read again') > n, 'a reload')
        assert set(asking) == {200}
    # each worker, and the parent of several
    until(lambda: len(reloaded(api)) == (1 if count == 1 else 1 + count), 'all reloads')
    web.pages['/a'] = b'a'
    assert api.ended(api.import_(f'{web.url}/a'))['status'] == 'success'
    assert ' DEBUG glance.' in api.log
    api.signal(TERM)
    assert api.exit_status() == 0


@pytest.mark.parametrize('count', [1, 2])
@pytest.mark.parametrize('text', ['this is no option', '[DEFAULT]\ndebug = maybe'])
def test_a_file_that_cannot_be_used_changes_nothing(start, config, count, text):
    sections = {'DEFAULT': {'workers': count}}
    api = start(**sections).await_ready()
    until(lambda: api.log.count('Serving') == count, 'the start of the workers')
    path = config(**sections)
    path.write_text(f'{path.read_text()}\n{text}\n')
    api.signal(signal.SIGHUP)
    api.await_log('The configuration stays as it was')
    assert api.call('GET', '/v2/tasks')[0] == 200
    api.signal(TERM)
    assert api.exit_status() == 0
