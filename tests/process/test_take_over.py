"""Two processes on one database and one state folder: the one that works is killed."""

import itertools
import threading

import pytest

from glance.testing.source_server import Answer

from .conftest import KILL, TERM, staged, until

LEASE = 2.0
CONTENT = bytes(range(256)) * 4096 * 24
EXECUTORS = ('taskflow', 'eventlet')


@pytest.fixture
def source(web):
    """The address of an image whose first download stops halfway, for as long as the test runs."""
    over = threading.Event()

    def half():
        yield CONTENT[: len(CONTENT) // 2]
        over.wait()

    halves = [Answer(half(), announced=len(CONTENT))]
    web.pages['/image'] = lambda request: halves.pop() if halves else CONTENT
    yield f'{web.url}/image'
    over.set()


def await_again(api, task_id):
    """The words with which a process takes a task up, and the number of its claim."""
    return api.await_log(
        rf' {api.process.pid} INFO .* Task {task_id} (goes on|begun), claim (\d+)\n'
    ).groups()


@pytest.mark.parametrize(
    ('first', 'second'),
    [
        pytest.param(*pair, id=f'{pair[0]}-then-{pair[1]}')
        for pair in itertools.product(EXECUTORS, EXECUTORS)
    ],
)
@pytest.mark.usefixtures('recorded')
def test_another_process_takes_over_when_the_lease_has_run_out(
    start, state, settled, source, first, second
):
    """Nobody starts, so nobody finds out that the first is dead before its lease says so."""
    one = start(task={'task_executor': first, 'lease_time': LEASE}).await_ready()
    task_id = one.import_(source)
    until(lambda: staged(state) > len(CONTENT) // 4, 'a good part of the download')
    other = start(task={'task_executor': second, 'lease_time': LEASE}).await_ready()
    one.signal(KILL)
    one.exit_status()
    how = await_again(other, task_id)
    # What eventlet began is remembered nowhere, and what it takes over it begins again.
    assert how == ('goes on' if (first, second) == ('taskflow', 'taskflow') else 'begun', '2')
    assert other.ended(task_id)['status'] == 'success'
    settled({source: CONTENT})
    other.signal(TERM)
    assert other.exit_status() == 0


@pytest.mark.parametrize('executor', EXECUTORS)
@pytest.mark.usefixtures('recorded')
def test_after_a_restart_on_the_same_host_work_goes_on_at_once(
    start, state, settled, source, executor
):
    """Its lease would last longer than anybody waits here."""
    options = {'task': {'task_executor': executor, 'lease_time': 600}}
    one = start(**options).await_ready()
    task_id = one.import_(source)
    until(lambda: staged(state) > len(CONTENT) // 4, 'a good part of the download')
    one.signal(KILL)
    one.exit_status()
    other = start(**options)
    await_again(other, task_id)
    assert other.await_ready().ended(task_id)['status'] == 'success'
    settled({source: CONTENT})


@pytest.mark.usefixtures('recorded')
def test_of_two_that_live_the_other_takes_the_tasks_that_are_handed_back(start, settled, source):
    one = start(DEFAULT={'graceful_shutdown_timeout': 6}).await_ready()
    task_id = one.import_(source)
    one.await_log(f'Task {task_id} begun')
    other = start().await_ready()
    one.signal(TERM)
    assert one.exit_status() == 0
    assert await_again(other, task_id)[1] == '2'
    assert other.ended(task_id)['status'] == 'success'
    settled({source: CONTENT})
