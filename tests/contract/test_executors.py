"""Does each executor keep the promises of TaskExecutor?"""

import pytest
import stevedore
from oslo_config import cfg

from glance import bootstrap, threads, toolbox
from glance import conf as options
from glance.domain import errors
from glance.domain.lease import HandBack, Stalled
from glance.engine.dir_logbook import DirLogbooks
from glance.testing.contracts.executor import ExecutorContract
from glance.testing.contracts.executor_setup import ExecutorSettings
from glance.testing.fakes.flows import Gate, gated_flow
from glance.testing.fakes.queue import FakeQueue
from glance.testing.fakes.toolbox import fake_toolbox

from .sql_queue import SqlQueue

SETTINGS = ExecutorSettings()


def make(name, queue, flows, settings=SETTINGS, taskflow_workers=None, **overrides):
    """An executor by its entry point, over a queue and flows of a test; the toolbox filled."""
    conf = cfg.ConfigOpts()
    options.register_opts(conf)
    conf([], default_config_files=[])
    conf.set_override('poll_interval', settings.poll_interval, 'task')
    conf.set_override('lease_time', settings.lease_time, 'task')
    conf.set_override('eventlet_executor_pool_size', settings.tasks_at_once, 'task')
    conf.set_override('max_tasks', settings.tasks_at_once, 'taskflow_executor')
    for option, value in overrides.items():
        conf.set_override(option, value, 'taskflow_executor')
    for option, value in (taskflow_workers or {}).items():
        conf.set_override(option, value, 'taskflow_workers')
    driver = stevedore.DriverManager('glance.task_executors', name).driver
    logbook = getattr(queue, 'logbook', None)
    executor = driver(
        conf,
        queue,
        flows,
        'this-process',
        logbook,
        stop_timeout=settings.stop_timeout,
        # No option is as small as what the suite asks for: an operator would end honest runs.
        stall_timeout=settings.stall_timeout,
    )
    toolbox.fill(fake_toolbox(queue, executor.runs))
    return executor


@pytest.mark.green
class TestEventlet(ExecutorContract):
    def make_executor(self, queue, flows, settings):
        return make('eventlet', queue, flows, settings)


class TestTaskflowSerial(ExecutorContract):
    interrupts = threads.is_green()

    def make_executor(self, queue, flows, settings):
        return make('taskflow', queue, flows, settings, engine_mode='serial', max_workers=2)


class TestTaskflowParallel(ExecutorContract):
    overlapping = 3
    interrupts = threads.is_green()

    def make_executor(self, queue, flows, settings):
        return make('taskflow', queue, flows, settings, engine_mode='parallel', max_workers=10)

    def test_steps_of_a_group_run_at_the_same_time(self):
        self.executor = self._make(group=3)
        self.gate.hold()
        self.queue.add('t1')
        self.executor.start()
        self.gate.await_entered(1)
        self.gate.release()
        self.gate.hold()
        self.gate.await_entered(3)  # none of the three can end before all have begun
        self.gate.release()
        assert self.queue.end_of('t1') == 'success'
        assert self.gate.most_inside == 3


class OnDatabase:
    """The same over the real queue, its runs remembered in the real logbook."""

    @pytest.fixture(autouse=True)
    def _url(self, database):
        self.url = database

    def make_queue(self):
        return SqlQueue(self.url)

    @pytest.fixture(autouse=True)
    def _leaves_nothing(self, _url, _set_up):
        yield
        self.executor.stop(5)
        ended = [task for task in ('t1', 't2') if task not in self.queue.open()]
        rows = self.queue.database.read(
            lambda connection: connection.exec_driver_sql('SELECT uuid FROM logbooks').all()
        )
        assert not {uuid for (uuid,) in rows} & set(ended)
        self.queue.database.close()


class TestEventletOnDatabase(OnDatabase, TestEventlet):
    pass


@pytest.mark.soak
class TestTaskflowSerialOnDatabase(OnDatabase, TestTaskflowSerial):
    pass


class TestTaskflowParallelOnDatabase(OnDatabase, TestTaskflowParallel):
    pass


class InFiles:
    """The same, its runs remembered by TaskFlow's own files."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path / 'logbooks'

    def make_queue(self):
        queue = super().make_queue()
        queue.logbook = DirLogbooks(
            self.folder, verify_lease=queue.verify_lease, is_dead=lambda owner: owner == 'dead'
        )
        return queue

    @pytest.fixture(autouse=True)
    def _leaves_no_files(self, _folder, _set_up):
        yield
        self.executor.stop(5)
        waiting = self.queue.open()
        assert [
            path.name for path in self.folder.glob('*') if path.name.split('.')[0] not in waiting
        ] == []


@pytest.mark.soak
class TestTaskflowSerialInFiles(InFiles, TestTaskflowSerial):
    pass


@pytest.mark.soak
class TestTaskflowParallelInFiles(InFiles, TestTaskflowParallel):
    pass


@pytest.mark.soak
class TestTaskflowParallelInFilesOnDatabase(InFiles, OnDatabase, TestTaskflowParallel):
    @pytest.fixture(autouse=True)
    def _set_up(self, _folder, _url):  # both places have to be known before the queue is made
        yield from ExecutorContract._set_up.__wrapped__(self)


def test_what_waits_behind_steps_that_cannot_be_interrupted_is_handed_back(request):
    """Whichever of two tasks gets the only step thread hangs in it; the other one waits."""
    gate, queue = Gate(), FakeQueue()
    executor = make(
        'taskflow',
        queue,
        {'test': gated_flow(gate, queue)},
        ExecutorSettings(stall_timeout=2),
        max_workers=1,
        max_tasks=2,
    )
    request.addfinalizer(gate.end_hanging)  # a native thread that hangs keeps the process
    for task_id in ('t1', 't2'):
        gate.hang_in(task_id, 'first', deaf=True)
        queue.add(task_id)
    executor.start()
    gate.await_entered(1)
    [hung] = [run.claim.lease.task_id for run in executor.runs if run.at_work]
    [waiting] = {'t1', 't2'} - {hung}
    queue.wait_until(
        lambda: held(queue, 'this-process') == [hung] and queue.expired(hung), every=0.05
    )
    taken = queue.claim('another', 2, seconds=600, versions={'test': 1})
    # An attempt, or a death if the lease ran out before the run was given up for good.
    counted = {claim.lease.task_id: claim.attempts + claim.deaths for claim in taken}
    assert counted == {hung: 1, waiting: 0}
    assert queue.held('this-process') == []
    gate.end_hanging()
    executor.stop(5)
    assert gate.done == [(hung, 'first')]
    assert gate.undone == []


def held(queue, holder):
    return [one.lease.task_id for one in queue.held(holder)]


FINISHED_STEPS_ARE_KEPT = {'sql': True, 'dir': True, 'memory': False}


@pytest.mark.parametrize('persistence', FINISHED_STEPS_ARE_KEPT)
@pytest.mark.parametrize('end', ['handed back', 'dead', 'may live'])
def test_a_task_goes_on_or_begins_again(tmp_path, persistence, end):
    queue = SqlQueue(f'sqlite:///{tmp_path}/glance.sqlite')
    if persistence == 'dir':
        queue.logbook = DirLogbooks(
            tmp_path, verify_lease=queue.verify_lease, is_dead=lambda owner: end == 'dead'
        )
    elif persistence == 'memory':
        queue.logbook = None
    gate = Gate()
    flows = {'test': gated_flow(gate, queue)}
    gate.break_in('t1', 'second', HandBack() if end == 'handed back' else Stalled())
    first = make('taskflow', queue, flows)
    queue.add('t1')
    first.start()
    gate.await_entered(2)
    queue.wait_until(lambda: gate.inside == 0)
    first.stop(5)
    assert gate.done[0] == ('t1', 'first')
    gate.breaks.clear()
    again = make('taskflow', queue, flows)
    again.start()
    assert queue.end_of('t1') == 'success'
    again.stop(5)
    queue.database.close()
    begun_anew = not FINISHED_STEPS_ARE_KEPT[persistence] or (persistence, end) == (
        'dir',
        'may live',
    )
    assert gate.done.count(('t1', 'first')) == 1 + begun_anew
    assert gate.undone == ([('t1', 'discard')] if begun_anew else [])
    assert list(tmp_path.glob('t1.*')) == []


def test_never_more_than_max_workers_steps_run():
    gate, queue = Gate(), FakeQueue()
    executor = make(
        'taskflow', queue, {'test': gated_flow(gate, queue, group=6)}, max_workers=4, max_tasks=20
    )
    for number in range(20):
        queue.add(f't{number}')
    executor.start()
    ends = {queue.end_of(f't{number}') for number in range(20)}
    executor.stop(1)
    assert ends == {'success'}
    assert gate.most_inside <= 4


def test_the_steps_of_one_task_wait_for_none_of_another():
    """Engines inside the pool that serves their atoms would wait for each other for ever."""
    gate, queue = Gate(), FakeQueue()
    executor = make(
        'taskflow', queue, {'test': gated_flow(gate, queue)}, max_workers=1, max_tasks=50
    )
    for number in range(100):
        queue.add(f't{number}')
    executor.start()
    assert {queue.end_of(f't{number}') for number in range(100)} == {'success'}
    executor.stop(1)


def test_a_reload_changes_how_often_the_queue_is_looked_at(tmp_path):
    file = tmp_path / 'glance-api.conf'
    file.write_text('[task]\npoll_interval = 3600\n')
    conf = cfg.ConfigOpts()
    options.register_opts(conf)
    conf(['--config-file', str(file)])
    gate, queue = Gate(), FakeQueue()
    driver = stevedore.DriverManager('glance.task_executors', 'taskflow').driver
    executor = driver(conf, queue, {'test': gated_flow(gate, queue)}, 'this-process')
    toolbox.fill(fake_toolbox(queue, executor.runs))
    executor.start()
    file.write_text('[task]\npoll_interval = 0.05\n')
    conf.mutate_config_files()
    queue.add('t1')  # and nobody says so
    assert queue.end_of('t1') == 'success'
    executor.stop(1)


@pytest.mark.skipif(threads.is_green(), reason='the eventlet executor is at home here')
def test_the_eventlet_executor_says_that_it_needs_green_threads():
    conf = cfg.ConfigOpts()
    options.register_opts(conf)
    conf([], default_config_files=[])
    conf.set_override('task_executor', 'eventlet', 'task')
    with pytest.raises(errors.ConfigError, match=r'needs green threads.*GLANCE_THREADS=green'):
        bootstrap.check_executor(conf)


@pytest.fixture(autouse=True)
def _empty_toolbox():
    yield
    toolbox.fill(None)
