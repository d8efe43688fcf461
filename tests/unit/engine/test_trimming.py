"""Each thing trimmed from TaskFlow's engine: still needed, and still right.

If a test here fails after an upgrade of TaskFlow, a trim in
glance/engine/taskflow_engine.py has become needless or wrong, or TaskFlow no longer
uses a private part that the engine replaces.
"""

import functools
import threading
import types
from concurrent import futures

import greenlet
import pytest
from futurist import waiters
from oslo_context import context as oslo_context
from taskflow import exceptions, storage, task
from taskflow.engines.action_engine import engine
from taskflow.persistence import models
from taskflow.persistence.backends import impl_memory

from glance import threads, toolbox
from glance.domain.lease import HandBack
from glance.engine import taskflow_engine
from glance.engine.active_runs import ActiveRuns
from glance.flows.atoms import StepAtom, linear
from glance.interfaces.flow import Flow, Group, Step
from glance.logbook import Logbook
from glance.testing.fakes.flows import Gate, gated_flow
from glance.testing.fakes.queue import FakeQueue


@pytest.fixture
def flow():
    return gated_flow(Gate(), FakeQueue())


class Writes(Logbook):
    """Counts what an engine writes."""

    def __init__(self):
        super().__init__()
        self.count = 0
        connection = self.get_connection()
        for name in ('update_atom_details', 'update_flow_details'):
            setattr(connection, name, self._counting(getattr(connection, name)))

    def _counting(self, function):
        def counted(detail):
            self.count += 1
            return function(detail)

        return counted


def test_stock_storage_still_writes_progress_that_nobody_reads():
    book = Writes()
    detail = models.FlowDetail('f', 'uuid')
    for kind, expected in ((storage.Storage, 2), (taskflow_engine.LeanStorage, 0)):
        made = kind(detail, backend=book)
        made.ensure_atom(task.FunctorTask(lambda: None, name='a'))
        book.count = 0
        made.set_task_progress('a', 0.0)
        made.set_task_progress('a', 1.0)
        assert book.count == expected


def test_lean_storage_keeps_progress_that_somebody_reports():
    made = taskflow_engine.LeanStorage(models.FlowDetail('f', 'uuid'), backend=Logbook())
    made.ensure_atom(task.FunctorTask(lambda: None, name='a'))
    made.set_task_progress('a', 0.5)
    assert made.get_task_progress('a') == 0.5


@pytest.mark.parametrize(
    ('kind', 'tries'), [(storage.Storage, 3), (taskflow_engine.LeanStorage, 1)]
)
def test_a_write_is_tried_once_and_not_after_pauses(kind, tries, monkeypatch):
    monkeypatch.setattr('tenacity.nap.time.sleep', lambda _seconds: None)
    book = Writes()
    made = kind(models.FlowDetail('f', 'uuid'), backend=book)
    made.ensure_atom(task.FunctorTask(lambda: None, name='a'))
    asked = []

    def fails(detail):
        asked.append(detail)
        raise exceptions.StorageFailure('gone')

    book.get_connection().update_atom_details = fails
    with pytest.raises(exceptions.StorageFailure):
        made.set_atom_state('a', 'RUNNING')
    assert len(asked) == tries


def let_in_beside(lock):
    """Whether a bare greenlet, as futurist's stock workers are, is let in with another."""
    found = []

    def second():
        with lock.write_lock():
            found.append(True)

    def first():
        with lock.write_lock():
            greenlet.greenlet(second).switch()

    greenlet.greenlet(first).switch()
    return bool(found)


@pytest.mark.green
def test_the_stock_lock_still_lets_green_workers_in_together():
    assert let_in_beside(storage.Storage(models.FlowDetail('f', 'uuid')).lock)


def test_a_storage_refuses_all_but_its_thread():
    made = taskflow_engine.LeanStorage(models.FlowDetail('f', 'uuid'), backend=Logbook())
    made.ensure_atom(task.FunctorTask(lambda: None, name='a'))
    refused = []

    def ask():
        for use in (made.get_flow_state, lambda: made.set_atom_state('a', 'RUNNING')):
            with pytest.raises(RuntimeError, match='belongs to its thread'):
                use()
            refused.append(use)

    other = threading.Thread(target=ask)
    other.start()
    other.join()
    assert len(refused) == 2
    assert made.get_atom_state('a') == 'PENDING'


def test_stock_memory_logbook_still_copies():
    backend = impl_memory.MemoryBackend()
    connection = backend.get_connection()
    book = models.LogBook('b')
    detail = models.FlowDetail('f', 'uuid')
    book.add(detail)
    connection.save_logbook(book)
    assert connection.get_flow_details('uuid') is not detail
    assert Logbook().get_connection().update_flow_details(detail) is detail


def test_engines_of_one_flow_share_one_compilation(flow):
    runner = taskflow_engine.EngineRunner(ActiveRuns(), threads.pool(2))
    one, two = (
        runner._engine(
            flow, Logbook(), models.FlowDetail('f', str(n)), taskflow_engine.InlineTaskExecutor()
        )
        for n in range(2)
    )
    one.compile()
    two.compile()
    assert one.compilation is two.compilation
    assert one.storage is not two.storage


def test_stock_engines_do_not_share_theirs(flow):
    made = [
        engine.SerialActionEngine(linear(flow), models.FlowDetail('f', str(n)), Logbook(), {})
        for n in range(2)
    ]
    for one in made:
        one.compile()
    assert made[0].compilation is not made[1].compilation


def test_nobody_can_listen_to_a_shared_atom(flow):
    atom = StepAtom(flow.all_steps()[0])
    assert not atom.notifier.can_be_registered(task.EVENT_UPDATE_PROGRESS)


def test_stock_atoms_tell_all_who_listen():
    atom = task.FunctorTask(lambda: None, name='a')
    assert atom.notifier.can_be_registered(task.EVENT_UPDATE_PROGRESS)


def test_stock_engines_still_register_a_waiter_with_the_only_step_at_work(flow):
    made = engine.ParallelActionEngine(linear(flow), models.FlowDetail('f', 'uuid'), None, {})
    made.compile()
    assert made._runtime.builder._waiter is waiters.wait_for_any


def test_one_step_at_work_is_waited_for_as_such():
    wait = functools.partial(taskflow_engine._wait_for_any, waiters.wait_for_any)
    alone = futures.Future()
    assert wait({alone}, 0) == (set(), {alone})
    threading.Timer(0.01, alone.set_exception, [ValueError()]).start()
    assert wait({alone}) == ({alone}, set())
    cancelled = futures.Future()
    cancelled.cancel()
    assert wait({cancelled}) == ({cancelled}, set())
    other = futures.Future()
    assert wait({alone, other}) == ({alone}, {other})


class Pool:
    """A pool of two threads. asked is set when somebody waits for a future that is not done."""

    def __init__(self):
        self._pool = threads.pool(2)
        self.asked = threading.Event()

    def submit(self, *args, **kwargs):
        future = self._pool.submit(*args, **kwargs)
        stock = future.exception

        def exception(timeout=None):
            if not future.done():
                self.asked.set()
            return stock(timeout)

        future.exception = exception
        return future


@pytest.fixture
def pooled():
    """pooled(flow): what came of a run of the flow on an engine whose steps are in a Pool."""
    queue, runs = FakeQueue(), ActiveRuns()
    queue.add('t1')
    [claim] = queue.claim('us', 1, seconds=30, versions={'test': 1})
    runs.begin(claim)
    toolbox.fill(types.SimpleNamespace(queue=queue, runs=runs))

    def run(flow):
        oslo_context.RequestContext(request_id='req-1', overwrite=True)
        return taskflow_engine.EngineRunner(runs, made.pool).run_flow(flow, claim)

    def run_in_a_thread(flow):
        return threads.pool(1).submit(run, flow).exception(20)

    made = types.SimpleNamespace(pool=Pool(), queue=queue, run=run_in_a_thread)
    yield made
    made.pool.asked.set()
    toolbox.fill(None)


class Calls(Step):
    """A step that does what the test says."""

    def __init__(self, name, function):
        self.name = name
        self._function = function

    def do(self):
        self._function()


def nothing_to_remove(*_args):
    pass


def test_the_sibling_of_a_dropped_step_has_ended_when_the_run_ends(pooled):
    begun, ended = threading.Event(), []

    def drop():
        assert begun.wait(20)
        raise HandBack

    def outlast_it():
        begun.set()
        assert pooled.pool.asked.wait(20)
        ended.append('sibling')

    group = Group((Calls('dropped', drop), Calls('sibling', outlast_it)))
    flow = Flow('test', 1, (group,), nothing_to_remove, nothing_to_remove)
    assert isinstance(pooled.run(flow), HandBack)
    assert ended == ['sibling']


def test_steps_in_the_pool_log_with_the_request_id_of_their_task(pooled):
    found = []

    def look():
        context = oslo_context.get_current()
        found.append(context and context.request_id)

    group = Group((Calls('one', look), Calls('two', look)))
    flow = Flow('test', 1, (group,), nothing_to_remove, nothing_to_remove)
    assert pooled.run(flow) is None
    assert found == ['req-1', 'req-1']


def test_an_engine_of_ours_waits_with_the_shortcut(pooled, monkeypatch):
    waited = []
    ours = taskflow_engine._wait_for_any

    def counting(stock, running, timeout=None):
        waited.append(len(running))
        return ours(stock, running, timeout)

    monkeypatch.setattr(taskflow_engine, '_wait_for_any', counting)
    assert pooled.run(gated_flow(Gate(), pooled.queue)) is None
    assert waited == [1, 1, 1]
