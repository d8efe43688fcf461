"""The projects in examples/, each installed in an environment of its own: tested, run, killed."""

import hashlib
import os
import pathlib
import threading

import pytest

from glance.testing.source_server import Answer

from .conductors import Conductor
from .conftest import KILL, PATIENCE, ROOT, Api, until
from .environments import Environment

EXAMPLES = ROOT / 'examples'
PROJECTS = sorted(path.parent.name for path in EXAMPLES.glob('*/pyproject.toml'))
MOST_LINES = 150

CONTENT = bytes(range(256)) * 4096
MANY_BYTES = 2**34  # a file with holes; to hash it takes far longer than to kill its reader


@pytest.fixture(scope='session')
def installed(tmp_path_factory):
    """installed(project): an Environment that has this example."""
    made = {}

    def install(project):
        if project not in made:
            made[project] = Environment(tmp_path_factory.mktemp(project))
            made[project].install(EXAMPLES / project)
        return made[project]

    return install


@pytest.fixture
def begin(tmp_path, config):
    """begin(project, kind=Api, **sections): a service or a conductor with an example."""
    begun = []

    def start(environment, kind=Api, *, threads='green', **sections):
        path = config(**sections)
        log = tmp_path / f'log-{len(begun)}'
        begun.append(kind(path, log, python=environment.python, GLANCE_THREADS=threads))
        return begun[-1].await_ready()

    yield start
    for process in begun:
        process.end()


class Halves:
    """A page that sends a half of itself, and the rest when it is asked for again."""

    def __init__(self):
        self.asked = 0

    def __call__(self, _request):
        self.asked += 1
        return Answer(self._stuck() if self.asked == 1 else CONTENT, announced=len(CONTENT))

    def _stuck(self):
        yield CONTENT[: len(CONTENT) // 2]
        threading.Event().wait(PATIENCE)


@pytest.mark.parametrize('project', PROJECTS)
def test_an_example_is_short(project):
    texts = [path for path in (EXAMPLES / project).iterdir() if path.suffix in ('.py', '.toml')]
    lines = sum(len(path.read_text().splitlines()) for path in texts)
    assert 0 < lines < MOST_LINES


@pytest.mark.soak
@pytest.mark.parametrize('project', PROJECTS)
def test_an_example_passes_its_own_tests(installed, tmp_path, project):
    tests = tmp_path / 'tests'
    tests.mkdir()
    for path in (EXAMPLES / project).glob('test_*.py'):
        (tests / path.name).write_text(path.read_text())
    threads = 'native' if project == 'native_executor' else 'green'
    installed(project).pytest(tests, GLANCE_THREADS=threads)


@pytest.mark.soak
def test_an_executor_takes_up_what_a_killed_one_left(installed, begin, web):
    web.pages['/image'] = Halves()
    environment = installed('native_executor')
    options = {'task': {'task_executor': 'native', 'conduct': False, 'lease_time': 2}}
    api = begin(environment, **options)
    runner = begin(environment, Conductor, threads='native', **options)
    assert 'Tasks are run by native (up to 4 native threads), in this process' in runner.log
    task_id = api.import_(f'{web.url}/image')
    web.await_request('/image')
    runner.signal(KILL)
    runner.exit_status()

    begin(environment, Conductor, threads='native', **options)
    task = api.ended(task_id)
    assert task['status'] == 'success', task
    assert api.call('GET', f'/v2/images/{task["result"]["image_id"]}/file')[1] == CONTENT


@pytest.mark.soak
def test_an_executor_says_what_it_needs(installed, tmp_path, config):
    path = config(task={'task_executor': 'native'})
    api = Api(path, tmp_path / 'log', python=installed('native_executor').python)
    try:
        assert api.exit_status() == 1
        assert 'task_executor = native needs native threads' in api.log
    finally:
        api.end()


@pytest.mark.soak
def test_a_store_holds_one_image_after_a_kill(installed, begin, web, tmp_path):
    web.pages['/image'] = Halves()
    folder = tmp_path / 'sharded'
    options = {
        'DEFAULT': {'enabled_backends': 'many:sharded'},
        'glance_store': {'default_backend': 'many'},
        'many': {'sharded_store_datadir': folder},
    }
    environment = installed('sharded_store')
    api = begin(environment, **options)
    task_id = api.import_(f'{web.url}/image')
    web.await_request('/image')
    api.signal(KILL)
    api.exit_status()

    api = begin(environment, **options)
    task = api.ended(task_id)
    assert task['status'] == 'success', task
    image_id = task['result']['image_id']
    assert api.call('GET', f'/v2/images/{image_id}/file')[1] == CONTENT
    [stored] = [path for path in folder.rglob('*') if path.is_file() and path.name[0] != '.']
    assert stored.parent.name == image_id[:2]
    assert api.call('DELETE', f'/v2/images/{image_id}')[0] == 204
    assert not stored.exists()


@pytest.mark.soak
def test_a_task_type_commits_after_a_kill(installed, begin, web, query):
    web.pages['/image'] = CONTENT
    environment = installed('digest_task')
    options = {'digest': {'algorithm': 'sha512'}}
    api = begin(environment, **options)
    image_id = api.ended(api.import_(f'{web.url}/image'))['result']['image_id']
    [(url,)] = query('SELECT value FROM image_locations')
    stored = pathlib.Path(url.removeprefix('file://'))
    os.truncate(stored, MANY_BYTES)

    body = {'type': 'digest', 'input': {'image_id': image_id}}
    assert api.call('GET', '/v2/schemas/tasks/digest')[1]['required'] == ['image_id']
    assert api.call('POST', '/v2/tasks', body | {'input': {}})[0] == 400
    status, task = api.call('POST', '/v2/tasks', body)
    assert status == 201, task
    api.await_log(f'Task {task["id"]} begun, claim 1')
    api.signal(KILL)
    api.exit_status()
    os.truncate(stored, len(CONTENT))

    api = begin(environment, **options)
    task = api.ended(task['id'])
    digest = hashlib.sha512(CONTENT).hexdigest()
    assert task['status'] == 'success', task
    assert task['result'] == {'image_id': image_id, 'sha512': digest}
    assert api.call('GET', f'/v2/images/{image_id}')[1]['digest_sha512'] == digest
    until(lambda: query('SELECT count(*) FROM task_queue') == [(0,)], 'the end of the entry')
