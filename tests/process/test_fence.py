"""A process stopped past its lease, anywhere; another ends its task; then it goes on."""

import contextlib
import http.client
import json
import sqlite3
import threading

import psutil
import pytest
import sqlalchemy as sa

from glance.testing.source_server import Answer
from tests import databases

from . import checker
from .conftest import CONT, STOP, TERM, staged, until
from .fail_points import points
from .snapshot import snapshot
from .test_kill_matrix import CONTENT, DECISIVE, NEVER, WAYS, serve

SHORT = {'lease_time': 1, 'poll_interval': 0.1}
WAITS_FOR_A_LOCK = (
    "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    ' AND datname = current_database()'
)
# Before these there is no lease yet, after this there is none any more.
OUTSIDE = ('before-post', 'after-post', 'before-claim', 'after-tidy-rows')


def cases(ways=WAYS):
    for way in ways:
        for end in ('success', 'failure'):
            for point in points():
                if point in OUTSIDE or any(part in point for part in NEVER[end]):
                    continue
                if end == 'failure' and not ('undo-' in point or '-fail' in point):
                    continue  # up to there it is like one that succeeds
                if way == 'eventlet' and 'remember' in point:
                    continue
                often = way == 'taskflow' and point in DECISIVE
                marks = [] if often else [pytest.mark.soak]
                yield pytest.param(way, end, point, id=f'{way}-{end}-{point}', marks=marks)


@pytest.fixture
def options():
    def of(way):
        return WAYS[way] | {'task': SHORT | WAYS[way].get('task', {})}

    return of


@pytest.fixture
def now(state, database):
    return lambda: snapshot(state, database)


def is_stopped(api):
    return psutil.Process(api.process.pid).status() == psutil.STATUS_STOPPED


def stop_between_transactions(api, state):
    """Stop a process; let it go on and return False if it holds the lock of SQLite's file."""
    api.signal(STOP)
    until(lambda: is_stopped(api), 'the stop')
    if databases.CHOSEN != 'sqlite':
        return True
    with contextlib.closing(sqlite3.connect(state / 'glance.sqlite', timeout=0)) as connection:
        try:
            connection.execute('BEGIN IMMEDIATE')
        except sqlite3.OperationalError:
            api.signal(CONT)
            return False
        connection.rollback()
    return True


def await_dropped(api, task_id):
    """Wait until a process says that it has let go of a task of which it has lost the lease."""
    api.await_log(
        rf' {api.process.pid} WARNING .*Task {task_id} is no longer run by this process '
        'because its lease was lost'
    )


def end_without_a_trace(stopped, other, task_id, now):
    """Continue a process whose task another has ended: nothing changes, then and until it ends."""
    before = now()
    stopped.signal(CONT)
    await_dropped(stopped, task_id)
    assert now() == before
    for api in (stopped, other):
        api.signal(TERM)
        assert api.exit_status() == 0
    assert now() == before


@pytest.mark.parametrize(('way', 'end', 'point'), list(cases()))
@pytest.mark.usefixtures('recorded')
def test_a_process_stopped_past_its_lease_changes_nothing(
    start, settled, web, options, now, way, end, point
):
    address, format_ = serve(web, end)
    stopped = start(fail_point=f'{point}:1:STOP', **options(way)).await_ready()
    posted = post(stopped, address, format_)  # it may stop before it has answered
    until(lambda: is_stopped(stopped), f'a stop at {point}')

    other = start(**options(way)).await_ready()
    [task] = other.call('GET', '/v2/tasks')[1]['tasks']
    other.ended(task['id'])
    [(status, message, _image)] = settled({address: CONTENT}).values()
    assert status == end, message

    end_without_a_trace(stopped, other, task['id'], now)
    posted.close()
    assert settled({address: CONTENT})


@pytest.mark.parametrize(('way', 'end', 'point'), list(cases(['taskflow'])))
@pytest.mark.usefixtures('recorded')
def test_a_process_whose_task_another_holds_changes_nothing(
    start, settled, web, options, now, way, end, point
):
    """The other has claimed it and done nothing yet: all that is there is still to be had.

    What keeps the first from writing is below the executor, so one is enough.
    """
    address, format_ = serve(web, end)
    stopped = start(fail_point=f'{point}:1:STOP', **options(way)).await_ready()
    posted = post(stopped, address, format_)
    until(lambda: is_stopped(stopped), f'a stop at {point}')
    holds = options(way) | {'task': options(way)['task'] | {'lease_time': 600}}
    other = start(fail_point='after-claim:1:STOP', **holds)
    until(lambda: is_stopped(other), 'the claim of another')

    before = now()
    stopped.signal(CONT)
    await_dropped(stopped, r'\S+')
    assert not differs(before, now())
    stopped.signal(TERM)
    assert stopped.exit_status() == 0
    assert not differs(before, now())

    other.signal(CONT)
    [task] = other.await_ready().call('GET', '/v2/tasks')[1]['tasks']
    other.ended(task['id'])
    [(status, message, _image)] = settled({address: CONTENT}).values()
    assert status == end, message
    posted.close()


def differs(before, after):
    """What the process of the first claim has changed, but for taking back what it made itself.

    That lies under names of its own, which nobody else ever writes to; a later
    claim uses it only where it is remembered, and does without if it is gone.
    """
    files = {'before': set(before['files'].items()), 'after': set(after['files'].items())}
    gone = {path for path, _file in files['before'] - files['after']}
    own = {path for path in gone if path.startswith('staging/') or path.endswith('.1')}
    rows = [table for table in before['rows'] if before['rows'][table] != after['rows'][table]]
    return rows + sorted(gone - own) + sorted(files['after'] - files['before'])


def post(api, address, format_):
    """A connection on which an import was asked for."""
    connection = http.client.HTTPConnection('127.0.0.1', api.port)
    body = {
        'type': 'import',
        'input': {'import_from': address, 'import_from_format': format_, 'image_properties': {}},
    }
    connection.request('POST', '/v2/tasks', json.dumps(body), {'Content-Type': 'application/json'})
    return connection


@pytest.mark.parametrize('way', WAYS)
@pytest.mark.usefixtures('recorded')
def test_a_process_stopped_amid_a_download_changes_nothing(
    start, settled, web, options, now, state, way
):
    content = bytes(range(256)) * 4096 * 8
    goes_on = threading.Event()

    def first_half_then_wait():
        yield content[: len(content) // 2]
        goes_on.wait()
        yield content[len(content) // 2 :]

    pages = [Answer(first_half_then_wait(), announced=len(content))]
    web.pages['/image'] = lambda request: pages.pop() if pages else content
    address = f'{web.url}/image'
    stopped = start(**options(way)).await_ready()
    task_id = stopped.import_(address)
    until(lambda: staged(state) >= len(content) // 4, 'a part of the download')
    until(lambda: stop_between_transactions(stopped, state), 'a stop')

    other = start(**options(way)).await_ready()
    other.ended(task_id)
    settled({address: content})
    goes_on.set()
    end_without_a_trace(stopped, other, task_id, now)
    settled({address: content})


@pytest.mark.skipif(databases.CHOSEN != 'postgresql', reason='No other process locks a row here.')
@pytest.mark.parametrize('way', WAYS)
@pytest.mark.usefixtures('recorded')
def test_a_process_stopped_amid_a_transaction_keeps_no_lock(
    start, settled, web, options, now, database, query, way
):
    """It has passed the fence: as long as its transaction is open, nobody can claim the task."""
    address, _format = serve(web, 'success')
    with checker.reading(database) as connection:
        connection.execute(sa.text('LOCK TABLE image_locations IN SHARE MODE'))
        stopped = start(**options(way)).await_ready()
        task_id = stopped.import_(address)
        until(lambda: query(WAITS_FOR_A_LOCK), 'a statement that waits for this lock')
        stopped.signal(STOP)
        until(lambda: is_stopped(stopped), 'the stop')

    other = start(**options(way)).await_ready()
    assert other.ended(task_id)['status'] == 'success'
    settled({address: CONTENT})

    before = now()
    stopped.signal(CONT)
    # It hears of it from the closed connection, or from the renewal of its leases: which is first
    # is a matter of threads.
    stopped.await_log(
        f'(The run of task {task_id} was stopped because the database does not'
        f'|Task {task_id} is no longer run by this process because its lease was lost)'
    )
    for api in (stopped, other):
        api.signal(TERM)
        assert api.exit_status() == 0
    assert now() == before
    settled({address: CONTENT})
