"""Does the taskflow executor keep its promises when workers do the steps?

Conductor and worker are in one process, but share no more than two processes would: the
broker, the database, and the steps of the test.
"""

import uuid

import pytest

from glance import threads, toolbox
from glance.db.worker_claims import WorkerClaims
from glance.domain.lease import Progress
from glance.domain.remote_steps import Announcement
from glance.domain.task import Status
from glance.engine.active_runs import ActiveRuns
from glance.engine.step_worker import StepWorker
from glance.interfaces.executor import RunControl
from glance.testing.contracts.executor import ExecutorContract
from glance.testing.fakes.toolbox import fake_toolbox
from tests import brokers

from .test_executors import OnDatabase, make

brokers.import_kombu()
pytestmark = pytest.mark.soak  # they need brokers

from glance.messaging import configured  # noqa: E402
from glance.messaging.broker import Broker  # noqa: E402
from glance.messaging.link import Link  # noqa: E402


class Worker(StepWorker):
    """A worker that knows its own threads."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.threads = set()

    def _carry_out(self, order):
        self.threads.add(threads.current())
        try:
            super()._carry_out(order)
        finally:
            self.threads.discard(threads.current())


class RunsOfBoth(RunControl):
    """To each thread the runs of its own side."""

    def __init__(self, here, worker, at_worker):
        self._here, self._worker, self._at_worker = here, worker, at_worker

    @property
    def _runs(self):
        return self._worker if threads.current() in self._at_worker else self._here

    def progress(self, lease, bytes_done=None):
        self._runs.progress(lease, bytes_done)

    def at_work(self, lease, *, undoing=False):
        return self._runs.at_work(lease, undoing=undoing)

    def begun(self, lease, step):
        self._runs.begun(lease, step)

    def show(self, lease, bytes_done, bytes_total=None):
        self._runs.show(lease, bytes_done, bytes_total)

    def moved(self, lease):
        return self._runs.moved(lease)

    def waiting(self, lease):
        return self._runs.waiting(lease)

    def done(self, lease):
        self._runs.done(lease)

    def raise_if_stopped(self, lease):
        self._runs.raise_if_stopped(lease)


class WorkerExecutorContract(OnDatabase, ExecutorContract):
    transport: str
    overlapping = 3
    interrupts = threads.is_green()

    @pytest.fixture(autouse=True)
    def _broker(self, missing):
        self.where = brokers.address(self.transport, missing)
        self.stops = []

    @pytest.fixture(autouse=True)
    def _set_up(self, _broker, _url):
        yield from ExecutorContract._set_up.__wrapped__(self)
        self._stop_worker()

    def make_executor(self, queue, flows, settings):
        for flow in flows.values():
            for step in flow.all_steps():
                step.moves_bytes = not step.commits
                if getattr(step, '_runs', None):
                    step._runs = lambda: toolbox.current().runs
        self._stop_worker()  # of an executor that the test does not use
        self.worker, self.worker_runs = self._start_worker(queue, flows)
        return make(
            'taskflow',
            queue,
            flows,
            settings,
            engine_mode='worker-based',
            taskflow_workers=self.where.options(worker_timeout=60.0),
        )

    def _make(self, **options):
        executor = super()._make(**options)
        both = RunsOfBoth(executor.runs, self.worker_runs, self.worker.threads)
        toolbox.fill(fake_toolbox(self.queue, both))
        return executor

    @pytest.mark.parametrize('known', [{}, {'test': 7}])
    def test_a_task_waits_for_a_worker_that_knows_its_type(self, known):
        types, self.types = self.types, known
        self.queue.add('t1')
        self.executor.start()
        self.queue.wait_until(lambda: self.executor.lacks(), every=0.05)
        self.queue.wait_until(
            lambda: any('knows the task type "test"' in one for one in self.executor.lacks()),
            every=0.05,
        )
        self.types = types
        assert self.queue.end_of('t1') == Status.SUCCESS
        assert max(event.attempt or 0 for event in self.queue.events_of('t1')) == 1

    def test_steps_that_hang_end_and_keep_nobody_waiting_for_ever(self):
        """The worker ends what hangs when it sees that its lease is lost."""
        self._needs_interruption()
        self.executor = self._hasty(stall_timeout=2)
        for task_id in ('t1', 't2'):
            self.queue.add(task_id)
        self.gate.hang_in('t1', 'second')
        self.executor.start()
        assert self.queue.end_of('t2') == Status.SUCCESS
        assert self.queue.end_of('t1') == Status.FAILURE
        assert '"second"' in self.queue.status_of('t1')[1]
        assert ('t1', 'discard') in self.gate.undone
        self.queue.wait_until(lambda: self.gate.inside == 0, every=0.05)

    def test_a_group_of_which_one_step_hangs_ends(self):
        """The task may end before the worker sees that the lease of the step is lost."""
        self._needs_interruption()
        self.executor = self._hasty(group=2)
        self.queue.add('t1')
        self.gate.hang_in('t1', 'second-1', times=1)
        self.executor.start()
        assert self.queue.end_of('t1') == Status.SUCCESS
        self.queue.wait_until(lambda: self.gate.inside == 0, every=0.05)

    @pytest.mark.soak
    def test_200_tasks_at_once_all_end(self):
        super().test_200_tasks_at_once_all_end()

    @pytest.mark.soak
    def test_what_cannot_be_interrupted_keeps_its_place_and_not_its_task(self):
        """Its place is at the worker. Here it has none, so its task is claimed again here."""
        self.executor = self._hasty(stall_timeout=2)
        self.queue.add('t1')
        self.gate.hang_in('t1', 'second', deaf=True)
        self.executor.start()
        assert self.queue.end_of('t1') == Status.FAILURE
        assert self.gate.inside == 4  # one for each claim; the first got further, so it counts not
        self.queue.add('t2')
        self.executor.submit('t2')
        assert self.queue.end_of('t2') == Status.SUCCESS

    def _stop_worker(self):
        while self.stops:
            self.stops.pop()()

    def _start_worker(self, queue, flows):
        broker = Broker(self.where.transport, self.where.url, self.where.exchange)
        name, runs = uuid.uuid4().hex, ActiveRuns(10)
        self.types = {type_: flow.version for type_, flow in flows.items()}

        def announce(free, leaving):
            return Announcement(
                worker=broker.address(name),
                host='host',
                area='area',
                version=configured.version(),
                deployment=queue.deployment(),
                topics=['default'],
                stores=[],
                slots=10,
                free=free,
                leaving=leaving,
                types=self.types,
            )

        worker = Worker(
            WorkerClaims(queue.database, 'this-process'),
            flows,
            runs,
            queue.logbook,
            announce,
            lambda lease: queue.release(lease, Progress(), stalled=True),
            slots=10,
        )
        link = Link(broker, name, worker.receive)
        link.start()
        worker.start(link)

        def stop():
            worker.stop(0)
            link.stop()

        self.stops.append(stop)
        return worker, runs


class TestOverRedis(WorkerExecutorContract):
    transport = 'redis'


# What has to do with messages: steps that are sent, end, fail, are dropped, handed back,
# undone, cancelled and told of. The rest is the same over any broker.
OVER_AMQP = {
    'test_steps_are_done_in_order',
    'test_a_task_that_breaks_says_why',
    'test_what_was_begun_is_undone_backwards',
    'test_a_drop_undoes_nothing_and_the_task_is_run_again',
    'test_a_lost_lease_ends_the_run_without_a_word',
    'test_what_does_not_end_within_grace_is_handed_back',
    'test_steps_of_a_group_overlap_as_promised',
    'test_a_cancel_is_heard_though_nobody_announced_it',
    'test_a_step_that_cannot_be_interrupted_keeps_its_place_and_not_its_task',
    'test_a_task_that_fails_tells_why_and_what_was_undone',
}


class TestOverAmqp(WorkerExecutorContract):
    transport = 'amqp'


for _name in [name for name in dir(TestOverAmqp) if name.startswith('test_')]:
    if _name not in OVER_AMQP:
        setattr(TestOverAmqp, _name, None)
