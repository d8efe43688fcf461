"""Logbooks in files under kill -9 and SIGSTOP; starts that are refused."""

import contextlib
import http.client
import sqlite3

import pytest
import sqlalchemy as sa

from glance.db import migrations, sessions
from tests import databases

from .conftest import KILL, TERM, until
from .snapshot import snapshot
from .test_fence import SHORT, end_without_a_trace, is_stopped, post
from .test_first_start import refused
from .test_kill_matrix import CONTENT, serve

DIR = {'taskflow_executor': {'persistence': 'dir'}}

# Where a folder of a claim is there, is being made or going, or was taken over.
DECISIVE = {
    'success': (
        'after-claim',
        'before-remember',
        'after-remember',
        'before-remember:2',
        'after-remember:2',
        'before-commit',
        'after-commit',
        'after-tidy-staging',
        'before-tidy-rows',
        'after-tidy-rows',
    ),
    'failure': ('before-fail', 'after-fail', 'before-undo-fetch', 'after-undo-create-record'),
}


def logbooks(state):
    return sorted(path.name for path in (state / 'logbooks').iterdir())


def killed_at(start, web, point, end='success'):
    """Post an import to a glance-api that dies at this point of it; returns the address."""
    address, format_ = serve(web, end)
    dying = start(fail_point=point, **DIR).await_ready()
    with contextlib.suppress(OSError, http.client.HTTPException):
        dying.import_(address, format_)
    assert dying.exit_status() == -KILL, 'the point was not passed'
    return address


def fetches(web):
    return sum(request.path == '/image' for request in web.requests)


@pytest.mark.soak
@pytest.mark.parametrize(
    ('end', 'point'), [(end, point) for end, points in DECISIVE.items() for point in points]
)
@pytest.mark.usefixtures('recorded')
def test_a_task_killed_at_a_decisive_point_ends_and_leaves_no_file(
    start, settled, check, state, web, end, point
):
    address = killed_at(start, web, point, end)
    api = start(**DIR).await_ready()
    [task] = api.call('GET', '/v2/tasks')[1]['tasks']
    api.ended(task['id'])
    [(status, _message, _image)] = settled({address: CONTENT}).values()
    assert status == end
    api.signal(TERM)
    assert api.exit_status() == 0
    check()
    assert logbooks(state) == []


@pytest.mark.parametrize(
    ('point', 'count'), [('after-remember:2', 1), ('before-remember:2', 2), ('after-do-check', 1)]
)
def test_the_next_process_goes_on_behind_the_last_step_that_was_remembered(
    start, settled, state, web, point, count
):
    address = killed_at(start, web, point)
    [book] = logbooks(state)
    assert book.endswith('.1')
    before = fetches(web)
    assert before == 1
    api = start(**DIR).await_ready()
    api.await_log(r'Task \S+ goes on, claim 2')
    settled({address: CONTENT})
    assert fetches(web) <= count
    assert logbooks(state) == []


@pytest.mark.parametrize('damage', ['cut off', 'lost'])
def test_a_logbook_that_a_power_cut_spoiled_is_begun_again(start, settled, state, web, damage):
    address = killed_at(start, web, 'after-remember:2')
    for path in (state / 'logbooks').rglob('metadata'):
        if damage == 'cut off':
            path.write_bytes(b'')
        else:
            path.unlink()
    api = start(**DIR).await_ready()
    api.await_log(r'The saved steps of task \S+ cannot be used; it begins again')
    api.await_log(r'Task \S+ begun, claim 2')
    [(status, _message, _image)] = settled({address: CONTENT}).values()
    assert status == 'success'
    assert logbooks(state) == []


@pytest.mark.parametrize('point', ['before-remember:1', 'before-remember:2', 'after-remember:2'])
@pytest.mark.usefixtures('recorded')
def test_a_stopped_process_neither_helps_nor_harms_who_begins_again(
    start, settled, state, database, web, point
):
    """Its logbooks are its own while it lives, so who begins again does not use them."""
    options = DIR | {'task': SHORT}
    address, format_ = serve(web, 'success')
    stopped = start(fail_point=f'{point}:STOP', **options).await_ready()
    posted = post(stopped, address, format_)
    until(lambda: is_stopped(stopped), f'a stop at {point}')
    refused = start(**options)
    assert refused.exit_status() == 1
    assert 'persistence = dir is for one process' in refused.log
    other = start(task=SHORT).await_ready()
    [task] = other.call('GET', '/v2/tasks')[1]['tasks']
    other.ended(task['id'])
    assert 'begun, claim 2' in other.log
    other.await_log(r'Task \S+ ended: success')
    end_without_a_trace(stopped, other, task['id'], lambda: snapshot(state, database))
    posted.close()
    start(**options).await_ready()
    until(lambda: logbooks(state) == [], 'the removal of the logbook')
    settled({address: CONTENT})


def test_what_was_remembered_in_files_is_begun_again_by_who_does_not_read_them(
    start, settled, state, web
):
    """After a change of the option; what is left of an ended task is removed by a later start."""
    address = killed_at(start, web, 'after-remember:2')
    api = start().await_ready()
    api.await_log(r'Task \S+ begun, claim 2')
    [task] = api.call('GET', '/v2/tasks')[1]['tasks']
    assert api.ended(task['id'])['status'] == 'success'
    assert len(logbooks(state)) == 1
    api.signal(TERM)
    assert api.exit_status() == 0
    start().await_ready()
    assert logbooks(state) == []
    settled({address: CONTENT})


@pytest.mark.parametrize('persistence', ['dir', 'memory'])
def test_several_workers_need_a_fence(start, persistence):
    sentence = refused(
        start(DEFAULT={'workers': 2}, taskflow_executor={'persistence': persistence})
    )
    for option in (f'[taskflow_executor] persistence = {persistence}', '[DEFAULT] workers = 2'):
        assert option in sentence


def test_a_newer_database_is_refused_with_both_versions(start, tmp_path, missing):
    folder = tmp_path / 'database'
    folder.mkdir()
    with databases.fresh(databases.CHOSEN, folder, missing) as url:
        database = sessions.open_database(url)
        migrations.sync(database.engine)
        database.write(
            lambda connection: connection.execute(
                sa.text(f"UPDATE {migrations.VERSION_TABLE} SET version_num = '9999'")
            )
        )
        database.close()
        sentence = refused(start(database={'connection': url}))
        assert '9999' in sentence
        assert migrations.HEAD in sentence


@pytest.mark.skipif(databases.CHOSEN != 'sqlite', reason='the database is a file only there')
@pytest.mark.parametrize('suffixes', [[''], ['', '-wal', '-shm']])
def test_without_its_database_a_state_folder_is_refused_until_it_is_back(
    start, state, web, settled, suffixes
):
    address, format_ = serve(web, 'success')
    api = start().await_ready()
    task_id = api.import_(address, format_)
    api.ended(task_id)
    settled({address: CONTENT})
    api.signal(TERM)
    assert api.exit_status() == 0
    away = state.parent / 'away'
    away.mkdir()
    for path in state.glob('glance.sqlite*'):
        path.rename(away / path.name)

    for _ in range(2):
        sentence = refused(start())
        for fact in (state / 'images', state / 'glance.sqlite', 'Restore the database'):
            assert str(fact) in sentence
    with contextlib.closing(sqlite3.connect(state / 'glance.sqlite')) as made:
        assert made.execute('SELECT * FROM sqlite_master').fetchall() == []

    for path in state.glob('glance.sqlite*'):
        path.unlink()
    for path in away.iterdir():
        path.rename(state / path.name)
    api = start().await_ready()
    assert api.task(task_id)['status'] == 'success'
    settled({address: CONTENT})
