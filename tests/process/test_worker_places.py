"""Steps go to the host that has what they need. Hosts are folders of their own here."""

import collections
import re
import threading
import time

import pytest

from glance.testing.source_server import Answer
from tests import brokers, folders

from .conftest import KILL, until
from .test_remote_workers import CONTENT
from .workers import Worker, worker_list

brokers.import_kombu()
pytestmark = pytest.mark.soak  # they need brokers

WORKER_TIMEOUT = 3.0
IMPORTS = 20


class Hosts:
    """Workers on hosts that share the database, the broker, and a folder of images."""

    def __init__(self, tmp_path, config, begin_worker, sections):
        self.folder = tmp_path
        self._config = config
        self._begin_worker = begin_worker
        self._sections = sections

    def start(self, host, *, fail_point='', enabled_backends=None, **more):
        """A glance-worker on a host; more sections are its own."""
        sections = self._sections | more
        sections['DEFAULT'] = {'debug': True, 'state_path': self.folder / host}
        if enabled_backends:
            sections['DEFAULT']['enabled_backends'] = enabled_backends
            sections['glance_store'] = {'default_backend': enabled_backends.partition(':')[0]}
        return self._begin_worker(self._config(**sections), PlacedWorker, fail_point=fail_point)

    def staged(self, host):
        """The folders of tasks in the staging area of a host."""
        return [path.name for path in (self.folder / host / 'staging').glob('*-*')]

    def files(self, host):
        """All files of a host below its staging folder and its folder of images."""
        return [
            path
            for name in ('staging', 'images')
            for path in folders.below(self.folder / host / name)
            if not path.name.startswith('.')
        ]


class PlacedWorker(Worker):
    def names(self):
        return [step for _task, step in self.steps()]


@pytest.fixture
def sections(missing, database, state):
    where = brokers.address('redis', missing)
    return {
        'database': {'connection': database},
        'glance_store': {'filesystem_store_datadir': state / 'images'},
        'healthcheck': {'detailed': True},
        'taskflow_executor': {'engine_mode': 'worker-based'},
        'taskflow_workers': where.options(worker_timeout=WORKER_TIMEOUT),
    }


@pytest.fixture
def api(start, sections):
    return start(**sections).await_ready()


@pytest.fixture
def make_hosts(tmp_path, config, begin_worker, sections):
    return lambda: Hosts(tmp_path, config, begin_worker, sections)


@pytest.fixture
def hosts(make_hosts):
    return make_hosts()


@pytest.fixture
def source(web):
    web.pages['/image'] = CONTENT
    return f'{web.url}/image'


def test_hosts_need_no_folder_in_common_but_the_store(api, hosts, source, settled):
    workers = [hosts.start(host) for host in ('b', 'c')]
    tasks = [api.import_(source) for _ in range(6)]
    assert [api.ended(task)['status'] for task in tasks] == ['success'] * 6
    done = [worker.steps() for worker in workers]
    for task in tasks:  # all steps on one host
        assert sorted([step for one, step in steps if one == task] for steps in done) == [
            [],
            ['fetch', 'check', 'store'],
        ]
    until(lambda: not hosts.files('b') + hosts.files('c'), 'the end of tidying up')
    settled({source: CONTENT})


def test_a_failed_task_leaves_nothing_on_the_host_of_its_worker(api, hosts, web, settled):
    hosts.start('b')
    web.pages['/image'] = b'no such format'
    task = api.ended(api.import_(f'{web.url}/image', 'qcow2'))
    assert task['status'] == 'failure'
    until(lambda: not hosts.files('b'), 'the end of tidying up')
    settled()


@pytest.mark.parametrize('step', ['check', 'store'])
def test_what_a_host_has_staged_is_fetched_again_elsewhere_when_it_is_gone(
    api, hosts, web, source, settled, step
):
    gone = hosts.start('b', fail_point=f'before-do-{step}')
    task_id = api.import_(source)
    assert gone.exit_status() == -KILL
    other = hosts.start('c')
    assert api.ended(task_id)['status'] == 'success'
    assert other.names() == ['fetch', 'check', 'store']
    assert len(web.requests) == 2
    assert 'no worker has the files that were staged on host' in api.log
    assert hosts.staged('b') == [task_id]
    hosts.start('b')  # its sweeper finds what is left
    until(lambda: not hosts.staged('b'), 'the end of tidying up')
    settled({source: CONTENT})


def test_another_worker_of_the_host_goes_on_with_what_is_staged(
    start, sections, make_hosts, web, source, settled
):
    sections['taskflow_workers']['worker_timeout'] = 20  # longer than both need to start
    api, hosts = start(**sections).await_ready(), make_hosts()
    gone = hosts.start('b', fail_point='before-do-check')
    task_id = api.import_(source)
    assert gone.exit_status() == -KILL
    elsewhere, same_host = hosts.start('c'), hosts.start('b')
    assert api.ended(task_id)['status'] == 'success'
    assert same_host.names() == ['check', 'store']
    assert elsewhere.names() == []
    assert len(web.requests) == 1
    until(lambda: not hosts.staged('b'), 'the end of tidying up')
    settled({source: CONTENT})


def test_what_was_staged_and_is_gone_from_its_host_is_fetched_again(
    api, hosts, web, source, settled
):
    gone = hosts.start('b', fail_point='before-do-check')
    task_id = api.import_(source)
    assert gone.exit_status() == -KILL
    [image] = (hosts.folder / 'b' / 'staging').glob('*/*/image')
    image.unlink()
    again = hosts.start('b')
    assert api.ended(task_id)['status'] == 'success'
    assert 'fetch' in again.names()
    assert len(web.requests) == 2
    settled({source: CONTENT})


def test_a_task_waits_for_a_host_with_its_store(api, hosts, source, settled):
    more = {'other': {'filesystem_store_datadir': hosts.folder / 'b' / 'images'}}
    without = hosts.start('b', enabled_backends='other:file', **more)
    task_id = api.import_(source)
    what = 'None of the 1 workers that can be used has the store "filesystem"; 1 steps wait'
    api.await_log(what)
    status, health = api.call('GET', '/healthcheck')
    assert (status, what in [one['reason'] for one in health['reasons']]) == (200, True)
    having = hosts.start('c')
    assert api.ended(task_id)['status'] == 'success'
    assert having.names() == ['fetch', 'check', 'store']
    assert without.names() == []
    assert api.log.count('steps wait') == 1
    assert api.call('GET', '/healthcheck')[1]['reasons'] == []
    settled({source: CONTENT})


def test_a_store_that_is_not_mounted_gets_nothing_until_it_is(
    api, hosts, source, state, settled, config, sections
):
    hosts.start('b')
    mark = state / 'images' / '.deployment'
    mark.rename(mark.with_name('.away'))
    # Until the worker has looked, it would take a step, which fails.
    until(lambda: [line[4] for line in worker_list(config(**sections))] == ['-'], 'its look')
    until(lambda: 'store' in _missing(api, source), 'that the store is missed')
    mark.with_name('.away').rename(mark)
    tasks = [task['id'] for task in api.call('GET', '/v2/tasks')[1]['tasks']]
    assert 'success' in [api.ended(task)['status'] for task in tasks]
    settled()


def test_a_folder_of_a_hosts_own_under_the_name_of_the_store_gets_nothing(
    api, hosts, source, state, settled, config, sections
):
    """The shared disk was never mounted there, and nothing is stored anywhere yet."""
    own = hosts.folder / 'b' / 'images'
    alone = hosts.start('b', glance_store={'filesystem_store_datadir': own})
    assert (own / '.deployment').read_text() == (state / 'images' / '.deployment').read_text()
    task_id = api.import_(source)
    api.await_log(r'\(host \S+: another folder for it\); 1 steps wait')
    assert 'another folder' in _missing(api, source)
    [line] = worker_list(config(**sections))
    assert ' '.join(line[9:]) == 'yes, but it has another folder for store filesystem'
    sharing = hosts.start('c')
    assert api.ended(task_id)['status'] == 'success'
    image = api.task(task_id)['result']['image_id']
    assert api.call('GET', f'/v2/images/{image}/file') == (200, CONTENT)
    for task in api.call('GET', '/v2/tasks')[1]['tasks']:
        assert api.ended(task['id'])['status'] == 'success'
    assert sorted(sharing.names()) == sorted(2 * ['fetch', 'check', 'store'])
    assert (alone.names(), list(own.glob('*-*'))) == ([], [])
    settled()


def _missing(api, source):
    """What the service says it lacks while a new import waits."""
    api.import_(source)
    return ' '.join(one['reason'] for one in api.call('GET', '/healthcheck')[1]['reasons'])


def test_three_workers_one_killed_amid_20_imports_and_all_end(api, hosts, web, settled):
    workers = [hosts.start(host) for host in 'bcd']
    go_on = threading.Event()

    def half(_request):
        return Answer(pieces(), announced=len(CONTENT))

    def pieces():
        yield CONTENT[: len(CONTENT) // 2]
        go_on.wait()
        yield CONTENT[len(CONTENT) // 2 :]

    web.pages.update({f'/image-{number}': half for number in range(IMPORTS)})
    began = time.monotonic()
    tasks = [api.import_(f'{web.url}/image-{number}') for number in range(IMPORTS)]
    until(lambda: len(web.requests) == IMPORTS, 'a request of each import')
    had = [len(worker.steps()) for worker in workers]
    killed = workers[had.index(max(had))]
    killed.signal(KILL)
    killed_at = time.monotonic()
    go_on.set()
    ends = collections.Counter(api.ended(task)['status'] for task in tasks)
    ended_at = time.monotonic()
    claims = collections.Counter(re.findall(r'Task \S+ (?:begun|goes on), claim (\d+)', api.log))
    for line in (
        f'{IMPORTS} imports of {len(CONTENT)} bytes; fetches begun at each worker: {had}',
        f'kill -9 of one with {max(had)}, {killed_at - began:.1f} s after the first POST',
        f'ends: {dict(ends)}, {ended_at - killed_at:.1f} s after the kill',
        f'claims: {dict(claims)}; steps begun at each: {[len(one.steps()) for one in workers]}',
    ):
        print(line)  # noqa: T201 - pytest shows it with -rP
    assert ends == {'success': IMPORTS}
    assert claims == {'1': IMPORTS, '2': max(had)}  # the others were not disturbed
    settled({f'{web.url}/image-{number}': CONTENT for number in range(IMPORTS)})
