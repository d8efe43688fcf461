"""How an engine has a step done by a worker."""

import threading
import uuid

import pytest

from glance import toolbox
from glance.domain.entry import Claim
from glance.domain.lease import DatabaseGone, Lease, Progress
from glance.domain.place import ANYWHERE
from glance.domain.remote_steps import Announcement, Answer, Ending, Order
from glance.engine.active_runs import ActiveRuns
from glance.engine.remote_engine import RemoteTaskExecutor
from glance.engine.remote_steps import RemoteSteps
from glance.engine.taskflow_engine import EngineRunner
from glance.engine.worker_directory import WorkerDirectory
from glance.interfaces.executor import RunResult
from glance.interfaces.flow import Flow, Step
from glance.logbook import Logbook
from glance.testing.fakes.link import FakeLink
from glance.testing.fakes.queue import FakeQueue
from glance.testing.fakes.toolbox import fake_toolbox

PATIENCE = 20
WORKER = Announcement(
    *('glance.one', 'host', 'area', '1', 'here', ['default'], [], 1, 1), types={'test': 1}
)


class Remote(Step):
    """error: what place() raises."""

    name = 'fetch'
    moves_bytes = True
    error = None

    def place(self, values):
        if self.error:
            raise self.error
        return ANYWHERE

    def do(self):
        raise AssertionError('a worker does this')


class Notes(Logbook):
    """What is noted of workers. error: what noting raises."""

    error = None

    def __init__(self):
        super().__init__()
        self.noted = []

    def results(self):
        return {'fetch': None}

    def note_sent(self, step, worker, sending):
        if self.error:
            raise self.error
        self.noted.append((step, worker, sending))


class Worker(FakeLink):
    """A link to a worker that answers each order at once; noted: what was noted before."""

    def __init__(self, logbook):
        super().__init__('glance.conductor')
        self._logbook = logbook

    def send(self, address, message):
        super().send(address, message)
        if isinstance(message, Order):
            self.noted = list(self._logbook.noted)
            answer = Answer(address, message.sending, Ending.DONE)
            threading.Thread(target=self.receive, args=(answer,)).start()


class Bench:
    def __init__(self):
        self.step, self.logbook, self.runs = Remote(), Notes(), ActiveRuns()
        self.queue = queue = FakeQueue()
        toolbox.fill(fake_toolbox(queue, self.runs))
        directory = WorkerDirectory('1', 'here', ['default'], silence=5)
        self.remote = RemoteSteps(self.runs, directory, silence=5)
        self.link = Worker(self.logbook)
        self.link.receive = self.remote.receive
        self.remote.start(self.link)
        self._flow = Flow('test', 1, (self.step,), lambda *_: None, lambda *_: None)
        self._runner = EngineRunner(
            self.runs,
            None,
            lambda claim, flow: self.logbook,
            lambda *of_run: RemoteTaskExecutor(self.remote, queue, self.runs, *of_run),
        )

    def run(self):
        lease = Lease(str(uuid.uuid4()), 1)
        claim = Claim(lease, 'test', 1, {}, 0, Progress(), None, '', False)
        self.runs.begin(claim)
        try:
            return self._runner.run_flow(self._flow, claim)
        finally:
            self.runs.end(lease)


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.remote.stop()
    toolbox.fill(None)


def test_a_worker_is_noted_before_it_gets_the_order(bench):
    bench.remote.receive(WORKER)
    assert bench.run() == RunResult.SUCCEEDED
    [order] = bench.link.of(Order)
    assert bench.link.noted == [('fetch', 'glance.one', order.sending)]


def test_a_run_waits_until_there_is_a_worker(bench):
    def announce():
        bench.queue.wait_until(bench.remote.missing, every=0.01)
        bench.remote.receive(WORKER)

    announcing = threading.Thread(target=announce)
    announcing.start()
    assert bench.run() == RunResult.SUCCEEDED
    announcing.join(PATIENCE)


def test_an_order_that_cannot_be_noted_is_not_sent_and_takes_no_slot(bench):
    bench.remote.receive(WORKER)
    bench.logbook.error = DatabaseGone('away')
    with pytest.raises(DatabaseGone):
        bench.run()
    assert bench.link.of(Order) == []
    bench.logbook.error = None
    assert bench.run() == RunResult.SUCCEEDED


def test_a_step_that_cannot_say_where_it_can_be_done_ends_its_run(bench):
    bench.step.error = KeyError('staged')
    assert bench.run() == RunResult.UNKNOWN
    assert bench.link.of(Order) == []
