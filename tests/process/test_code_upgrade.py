"""Tasks that the code of an earlier commit accepted or began are run by the present code."""

import io
import subprocess
import tarfile

import pytest

from .conftest import KILL, ROOT, Api
from .environments import Environment

# The last commit before task types were plug-ins: the import had no TaskType then.
EARLIER = 'f1cc184e44d303ee929765db5c195a16e0e4b474'
CONTENT = bytes(range(256)) * 4096

pytestmark = pytest.mark.soak


@pytest.fixture(scope='module')
def earlier(tmp_path_factory, missing):
    """The Python of an environment with the service as it was at that commit."""
    folder = tmp_path_factory.mktemp('earlier')
    archive = subprocess.run(
        ['git', 'archive', '--format=tar', EARLIER], cwd=ROOT, capture_output=True
    )
    if archive.returncode != 0:
        missing(f'The history of the repository has no commit {EARLIER}.')
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder / 'source', filter='data')
    environment = Environment(folder / 'environment')
    environment.install(folder / 'source')
    return environment.python


@pytest.mark.parametrize('executor', ['taskflow', 'eventlet'])
def test_what_earlier_code_accepted_or_began_ends(earlier, start, config, web, tmp_path, executor):
    def with_earlier_code(**task):
        path = config(task={'task_executor': executor} | task)
        return Api(path, tmp_path / 'earlier-log', python=earlier)

    web.pages['/done'] = web.pages['/waiting'] = CONTENT
    web.pages['/begun'] = web.silence()
    old = with_earlier_code().await_ready()
    try:
        done = old.ended(old.import_(f'{web.url}/done'))
        begun = old.import_(f'{web.url}/begun')
        web.await_request('/begun')
        old.signal(KILL)
        old.exit_status()
    finally:
        old.end()
    old = with_earlier_code(conduct=False).await_ready()
    try:
        waiting = old.import_(f'{web.url}/waiting')
    finally:
        old.end()

    web.pages['/begun'] = CONTENT
    api = start(task={'task_executor': executor}).await_ready()
    for task_id in (done['id'], begun, waiting):
        task = api.ended(task_id)
        assert task['status'] == 'success', task
        image = f'/v2/images/{task["result"]["image_id"]}'
        assert api.call('GET', f'{image}/file')[1] == CONTENT
    assert f'Task {begun} ' in api.log
    assert f'Task {done["id"]} ' not in api.log
