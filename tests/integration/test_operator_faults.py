"""What an operator can do to database and folders: each is a sentence, never a loop."""

import contextlib
import logging
import pathlib
import sqlite3
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa

from glance import bootstrap
from glance import database as configured
from glance.db import migrations
from glance.db.task_queue import SqlTaskQueue
from glance.domain import errors
from glance.domain.lease import HandBack
from glance.flows import import_image, steps
from glance.folders import Folders
from glance.testing.observed_queue import PATIENCE
from tests import databases

MANAGE = str(pathlib.Path(sys.executable).parent / 'glance-manage')
CONTENT = b'bits of an image'
RUNS = ('logbooks', 'flowdetails', 'atomdetails', 'task_queue')


@pytest.fixture
def make(tmp_path, make_service, database):
    """make(executor): a Service on one database and one state folder, however often."""
    if databases.CHOSEN == 'sqlite':
        url = f'sqlite:///{tmp_path}/state/glance.sqlite'
    else:
        url = database(databases.CHOSEN)
    options = {'database': {'connection': url}}

    def service(executor='taskflow-parallel', **more):
        return make_service(executor, **options, **more)

    return service


def execute(service, *words):
    """Edit the database as with a shell of its own: on SQLite without foreign keys."""
    service = service.application if hasattr(service, 'application') else service
    engine = service.database.engine
    if engine.dialect.name == 'sqlite':
        with contextlib.closing(sqlite3.connect(engine.url.database)) as shell, shell:
            for one in words:
                shell.execute(one)
        return
    with engine.begin() as connection:
        for one in words:
            connection.execute(sa.text(one))


def rows(service, table):
    with service.application.database.engine.connect() as connection:
        return connection.execute(sa.text(f'SELECT * FROM {table}')).all()


def posted(service, web, path='/image', **properties):
    web.pages[path] = CONTENT
    answer = service.import_(web.url + path, **properties)
    assert answer.status_int == 201, answer.text
    return answer.json['id']


@pytest.fixture
def handed_back(make, web, monkeypatch):
    """handed_back(): (a service that is not started, a task whose image is all but stored)."""

    def stop_there(executor='taskflow-parallel'):
        reached = []

        with monkeypatch.context() as patch:

            def hand_back(self, lease, image_id, staged, store):
                # This process would take it up again, and eventlet fetches anew then.
                patch.setattr(SqlTaskQueue, 'claim', lambda *_args, **_options: [])
                reached.append(lease)
                raise HandBack

            patch.setattr(steps.Store, 'do', hand_back)
            first = make(executor).start()
            task_id = posted(first, web)
            _until(lambda: reached)
            first.stop()
        return make(executor), task_id

    return stop_there


def _until(true):
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def fetched(web, path='/image'):
    return sum(request.path == path for request in web.requests)


def all_is_well(service, web, ended):
    """The service runs other tasks, and nothing but images is left."""
    other = service.ended(posted(service, web, '/other'))
    assert other['status'] == 'success'
    assert [rows(service, table) for table in RUNS] == [[]] * len(RUNS)
    images = service.call('GET', '/v2/images').json['images']
    succeeded = [other] + [ended] * (ended['status'] == 'success')
    assert {image['id'] for image in images} == {task['result']['image_id'] for task in succeeded}
    assert len(service.files()) == len(images)


# What is edited, and what it does to the download that had ended.
EDITS = {
    'nothing': ([], 'kept'),
    'an older version of the flow': (['UPDATE task_queue SET flow_version = 0'], 'anew'),
    'results that are no JSON': (["UPDATE atomdetails SET results = '{'"], 'anew'),
    'results of another shape': (["UPDATE atomdetails SET results = '[]'"], 'anew'),
    'no results': (['UPDATE atomdetails SET results = NULL'], 'anew'),
    'meta that is no JSON': (["UPDATE atomdetails SET meta = 'x'"], 'anew'),
    'an unknown state': (["UPDATE atomdetails SET state = 'ASLEEP'"], 'anew'),
    'an unknown intention': (["UPDATE atomdetails SET intention = 'NONE'"], 'anew'),
    'an unknown kind of atom': (["UPDATE atomdetails SET atom_type = 'X'"], 'anew'),
    'a step without its row': (["DELETE FROM atomdetails WHERE name = 'fetch'"], 'anew'),
    'the first step without its row': (
        ["DELETE FROM atomdetails WHERE name = 'create-record'"],
        'anew',
    ),
    'a later step without its row': (["DELETE FROM atomdetails WHERE name = 'check'"], 'kept'),
    'a renamed step': (["UPDATE atomdetails SET name = 'get' WHERE name = 'fetch'"], 'anew'),
    'all steps of one name': (["UPDATE atomdetails SET name = 'fetch'"], 'anew'),
    'no steps': (['DELETE FROM atomdetails'], 'anew'),
    'no flow': (['DELETE FROM flowdetails'], 'anew'),
    'no book': (['DELETE FROM logbooks'], 'anew'),
    'no book and an older version': (
        ['DELETE FROM logbooks', 'UPDATE task_queue SET flow_version = 0'],
        'anew',
    ),
}
# Servers know the types of these columns.
ONLY_ON_SQLITE = (
    'results that are no JSON',
    'meta that is no JSON',
    'an unknown intention',
    'an unknown kind of atom',
)


@pytest.mark.parametrize(
    'edit', [edit for edit in EDITS if databases.CHOSEN == 'sqlite' or edit not in ONLY_ON_SQLITE]
)
def test_a_logbook_edited_by_hand(handed_back, web, caplog, edit):
    words, then = EDITS[edit]
    service, task_id = handed_back()
    names = [step.name for step in import_image.STEPS]
    assert {row.name for row in rows(service, 'atomdetails')} == set(names[: names.index('store')])
    execute(service, *words)
    caplog.set_level(logging.INFO)
    service.start()
    task = service.ended(task_id)
    assert (task['status'], task['message']) == ('success', '')
    assert fetched(web) == {'kept': 1, 'anew': 2}[then]
    all_is_well(service, web, task)
    _until(lambda: f'Task {task_id} ended' in caplog.text)
    assert caplog.text.count(f'Task {task_id} ended') == 1
    if 'older version' in edit:
        assert caplog.text.count('another version of its flow (0, now ') == 1


@pytest.mark.parametrize('executor', ['taskflow-parallel', 'eventlet'])
@pytest.mark.parametrize(
    'work', ['{', '[]', '[' * 100_000], ids=['cut off', 'no object', 'too deep']
)
@pytest.mark.parametrize('begun', [True, False])
def test_an_entry_that_cannot_be_read_fails_its_task_and_no_other(
    make, handed_back, web, executor, work, begun
):
    if begun:
        service, task_id = handed_back(executor)
    else:
        service = make(executor)
        task_id = posted(service, web)
    other = posted(service, web, '/waiting')
    execute(service, f"UPDATE task_queue SET work = '{work}' WHERE task_id = '{task_id}'")
    service.start()
    task = service.ended(task_id)
    assert task['status'] == 'failure'
    assert task['message'] == (
        'The entry of the task in the queue cannot be read; what it was to do is not known.'
    )
    waiting = service.ended(other)
    assert waiting['status'] == 'success'
    assert fetched(web) == int(begun)
    all_is_well(service, web, waiting)


@pytest.mark.parametrize('executor', ['taskflow-parallel', 'eventlet'])
def test_work_without_what_the_steps_need_is_a_failure(make, web, executor):
    service = make(executor)
    task_id = posted(service, web)
    execute(service, "UPDATE task_queue SET work = '{}'")
    service.start()
    task = service.ended(task_id)
    assert task['status'] == 'failure'
    assert 'the log' in task['message']
    all_is_well(service, web, task)


@pytest.mark.parametrize('executor', ['taskflow-parallel', 'eventlet'])
@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (
            'flow_version = 99',
            'Task type import, flow version 99: 1 wait for a process that can run them; '
            'this one knows versions up to',
        ),
        (
            "type = 'export'",
            'Task type export, flow version 1: 1 wait for a process that can run them; '
            'this one knows import.',
        ),
    ],
)
def test_what_only_another_release_can_run_waits_and_is_named(
    make, web, caplog, executor, change, said
):
    service = make(executor)
    task_id = posted(service, web)
    execute(service, 'UPDATE task_queue SET flow_version = 1', f'UPDATE task_queue SET {change}')
    service.start()
    for number in range(3):  # many looks at the queue
        assert service.ended(posted(service, web, f'/{number}'))['status'] == 'success'
    assert service.call('GET', f'/v2/tasks/{task_id}').json['status'] == 'pending'
    assert caplog.text.count(said) == 1
    [entry] = rows(service, 'task_queue')
    assert (entry.lease, entry.owner) == (0, None)


def test_a_database_that_is_newer_is_refused_by_both_programs(make, tmp_path):
    service = make()
    execute(service, f"UPDATE {migrations.VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(errors.ConfigError) as refused:
        bootstrap.build(service.conf)
    sentence = str(refused.value)
    assert '9999' in sentence
    assert migrations.HEAD in sentence
    file = tmp_path / 'glance-api.conf'
    file.write_text(
        f'[DEFAULT]\nstate_path = {service.state}\n[database]\n'
        f'connection = {configured.database_url(service.conf, Folders(service.conf))}\n'
    )
    for command in (['db', 'sync'], ['task', 'list'], ['task', 'purge']):
        said = subprocess.run(
            [MANAGE, '--config-file', file, *command], capture_output=True, text=True, timeout=60
        )
        assert said.returncode == 1
        assert said.stderr.splitlines()[-1] == f'glance-manage: {sentence}'
        assert 'Traceback' not in said.stderr


def test_folders_of_another_deployment_are_refused(make, make_service, tmp_path, web):
    ours = make().start()
    ours.ended(posted(ours, web))
    before = ours.files()
    for option, folder in (('filesystem_store_datadir', 'images'), ('work_dir', 'staging')):
        group = 'glance_store' if folder == 'images' else 'task'
        with pytest.raises(errors.ConfigError) as refused:
            make_service(
                state=tmp_path / f'other-{folder}', **{group: {option: str(ours.state / folder)}}
            )
        for fact in (option, str(ours.state / folder), 'does not belong', 'Restore the database'):
            assert fact in str(refused.value)
    assert ours.files() == before


@pytest.mark.on(*databases.SERVERS)
def test_a_server_with_a_new_database_refuses_old_folders(make_service, database, web):
    ours, new = ({'database': {'connection': database(databases.CHOSEN)}} for _ in range(2))
    first = make_service(**ours).start()
    first.ended(posted(first, web))
    first.stop()
    with pytest.raises(errors.ConfigError, match='is marked as that of'):
        make_service(**new)
    make_service(**ours).stop()


def test_a_deployment_older_than_the_marks_keeps_its_folders(make, web):
    first = make().start()
    task = first.ended(posted(first, web))
    first.stop()
    for folder in ('images', 'staging'):
        (first.state / folder / '.deployment').unlink()
    again = make().start()
    assert again.call('GET', f'/v2/images/{task["result"]["image_id"]}/file').body == CONTENT
    for folder in ('images', 'staging'):
        assert (again.state / folder / '.deployment').exists()


def test_a_store_whose_disk_is_not_mounted_stops_the_start(make, web):
    first = make().start()
    task = first.ended(posted(first, web))
    first.stop()
    images, away = first.state / 'images', first.state / 'away'
    images.rename(away)
    with pytest.raises(errors.ConfigError, match='its disk may not be mounted'):
        make()
    assert list(images.iterdir()) == []
    images.rmdir()
    away.rename(images)
    again = make().start()
    image = f'/v2/images/{task["result"]["image_id"]}'
    assert again.call('DELETE', image).status_int == 204
    again.stop()
    for path in images.iterdir():
        path.unlink()
    make().stop()  # no image is there any more, so the folder may be empty


def test_a_database_that_lost_its_id_is_refused(make):
    service = make()
    service.stop()
    execute(service, 'DELETE FROM deployment')
    with pytest.raises(errors.ConfigError, match=r'table "deployment".* has 0 rows'):
        bootstrap.build(service.conf)


@pytest.mark.parametrize('persistence', ['dir', 'memory'])
def test_a_logbook_without_a_fence_is_for_one_process(make, persistence):
    with pytest.raises(errors.ConfigError) as refused:
        make(DEFAULT={'workers': 2}, taskflow_executor={'persistence': persistence})
    for fact in (f'[taskflow_executor] persistence = {persistence}', '[DEFAULT] workers = 2'):
        assert fact in str(refused.value)


@pytest.mark.green
def test_what_only_taskflow_heeds_is_no_fault_with_eventlet(make):
    make('eventlet', DEFAULT={'workers': 2}, taskflow_executor={'persistence': 'memory'})
