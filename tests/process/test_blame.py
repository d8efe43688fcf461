"""No healthy task fails because another one kills its process, or because processes are killed."""

import contextlib
import os
import pathlib
import threading

import pytest

from glance.domain.suspects import SUSPECT_DEATHS

from .conftest import KILL, Api, until

POISON = pathlib.Path(__file__).parent / 'poison'
CONTENT = bytes(range(256)) * 4
WAYS = {'taskflow': {}, 'eventlet': {'task_executor': 'eventlet'}}
IN_EACH_RUN = ['taskflow', pytest.param('eventlet', marks=pytest.mark.soak)]


class Supervised:
    """A glance-api with the task type "poison" that is started again whenever it has died."""

    def __init__(self, config, log):
        self._config = config
        self._log = log
        self.deaths = 0
        self.api = self._start()

    def _start(self):
        path = os.pathsep.join([str(POISON), *filter(None, [os.environ.get('PYTHONPATH')])])
        return Api(self._config, self._log, PYTHONPATH=path).await_ready()

    def call(self, function):
        """function(api), again if the service dies meanwhile."""
        while True:
            with contextlib.suppress(OSError):
                if self.api.process.poll() is None:
                    return function(self.api)
            self.api.exit_status()
            self.deaths += 1
            self.api.end()
            self.api = self._start()

    def kill(self):
        self.api.signal(KILL)
        self.api.exit_status()

    def post(self, address, count):
        return [self.call(lambda api: api.import_(address)) for _ in range(count)]

    def post_poison(self, after):
        body = {'type': 'poison', 'input': {'after': after}}
        status, task = self.call(lambda api: api.call('POST', '/v2/tasks', body))
        assert status == 201, task
        return task['id']

    def task(self, task_id):
        return self.call(lambda api: api.task(task_id))

    def ended(self, task_id):
        def task():
            found = self.task(task_id)
            return found if found['status'] in ('success', 'failure') else None

        return until(task, f'the end of task {task_id}', patience=240)


@pytest.fixture(params=IN_EACH_RUN)
def supervised(request, config, tmp_path):
    # A source that does not send is waited for, longer than any of these tests takes.
    patience = {'read_timeout': 600}
    made = Supervised(
        config(task=WAYS[request.param], import_filtering_opts=patience), tmp_path / 'log'
    )
    yield made
    made.api.end()


@pytest.mark.parametrize(
    ('after', 'poisons', 'healthy'),
    [
        (0, 1, 10),
        pytest.param(3, 1, 10, marks=pytest.mark.soak),
        pytest.param(0, 3, 10, marks=pytest.mark.soak),
        pytest.param(0, 1, 200, marks=pytest.mark.soak),
    ],
)
def test_a_task_that_kills_its_process_fails_alone(
    supervised, web, settled, after, poisons, healthy
):
    web.pages['/image'] = CONTENT
    address = f'{web.url}/image'
    first = supervised.post(address, healthy // 2)
    bad = [supervised.post_poison(after) for _ in range(poisons)]
    good = first + supervised.post(address, healthy - healthy // 2)

    assert {supervised.ended(task_id)['status'] for task_id in good} == {'success'}
    for task_id in bad:
        task = supervised.ended(task_id)
        assert task['status'] == 'failure'
        assert 'signal 9 (SIGKILL)' in task['message']
        assert '"kill"' in task['message']
    # A POST whose answer was cut off is one more: it was sent again.
    listed = supervised.call(lambda api: api.call('GET', '/v2/tasks?type=poison')[1]['tasks'])
    assert supervised.deaths <= 2 * len(listed)  # from then on children die in its place
    settled({address: CONTENT})


@pytest.mark.soak
def test_a_suspect_that_waits_for_its_source_holds_up_no_other(supervised, web, settled, query):
    """Both are suspects, and the one that waits was posted first, so it runs first."""
    spoken = threading.Event()

    def page(_request):
        assert spoken.wait(600)
        return CONTENT

    web.pages['/waits'] = page
    address = f'{web.url}/waits'
    [waits] = supervised.post(address, 1)
    until(lambda: query('SELECT furthest_step FROM task_queue') == [(1,)], 'its progress')
    for lives in range(1, SUSPECT_DEATHS + 2):  # the first one has made progress
        web.await_request('/waits', lives)
        supervised.kill()
        supervised.task(waits)
    supervised.api.await_log('runs up to 1 tasks whose processes died')
    web.await_request('/waits', SUSPECT_DEATHS + 2)
    bad = supervised.post_poison(0)
    try:
        assert 'signal 9 (SIGKILL)' in supervised.ended(bad)['message']
        assert query('SELECT task_id, attempts, outcome FROM task_queue') == [(waits, 0, None)]
    finally:
        spoken.set()
    assert supervised.ended(waits)['status'] == 'success'
    settled({address: CONTENT})


@pytest.mark.soak
def test_after_each_post_the_service_is_killed(supervised, web, settled):
    web.pages['/image'] = CONTENT
    address = f'{web.url}/image'
    posted = []
    for _ in range(10):
        posted += supervised.post(address, 1)
        supervised.kill()
    assert {supervised.ended(task_id)['status'] for task_id in posted} == {'success'}
    settled({address: CONTENT})
