"""An API that does not conduct, beside a runner that has no API."""

import threading

import pytest

from glance.components import SharedComponents
from glance.folders import Folders
from glance.runner import Runner
from glance.testing.observed_queue import PATIENCE
from glance.testing.source_server import Answer
from tests.integration.conftest import ADMIN

RUNNING = {'claim', 'watch'}  # threads of a runner
APART = {'conduct': False, 'poll_interval': 0.05}


@pytest.fixture
def make_runner():
    """make_runner(service): a started runner on the database of a service."""
    made = []

    def make(service):
        folders = Folders(service.conf)
        runner = Runner(service.conf, folders, SharedComponents(service.conf, folders))
        made.append(runner)
        runner.start()
        return runner

    yield make
    for runner in made:
        runner.stop()


def test_an_api_that_does_not_conduct_takes_nothing_that_only_a_runner_needs(
    make_service, tmp_path, web
):
    before = threading.enumerate()
    service = make_service(
        task={'conduct': False, 'task_executor': 'nobody', 'work_dir': '/proc/nowhere'},
        import_filtering_opts={'ca_file': str(tmp_path / 'missing')},
    ).start()
    names = {thread.name for thread in set(threading.enumerate()) - set(before)}
    assert not names & RUNNING
    assert list((service.state / 'run').glob('*.owner')) == []
    web.pages['/a'] = b'a'
    task_id = service.import_(f'{web.url}/a').json['id']
    assert service.call('GET', f'/v2/tasks/{task_id}').json['status'] == 'pending'


def test_a_runner_hears_of_tasks_by_itself(make_service, make_runner, web):
    web.pages['/a'] = b'a'
    service = make_service(task=APART).start()
    before = threading.enumerate()
    make_runner(service)
    assert {thread.name for thread in set(threading.enumerate()) - set(before)} >= RUNNING
    posted = [service.import_(f'{web.url}/a').json['id'] for _ in range(3)]
    assert {service.ended(task_id)['status'] for task_id in posted} == {'success'}
    assert len(web.requests) == 3


def test_a_cancel_reaches_a_runner_elsewhere(make_service, make_runner, web):
    asked, go_on = threading.Event(), threading.Event()

    def pieces():
        asked.set()
        yield b'a'
        go_on.wait(PATIENCE)

    web.pages['/a'] = lambda _request: Answer(pieces(), announced=2)
    service = make_service(task=APART).start()
    runner = make_runner(service)
    task_id = service.import_(f'{web.url}/a').json['id']
    assert asked.wait(PATIENCE)
    service.application.services.tasks.cancel(task_id, by=ADMIN)
    task = service.ended(task_id)
    go_on.set()
    assert task['message'] == 'The task was cancelled on request.'
    assert service.files() == []
    assert len(runner.executor.runs) == 0
