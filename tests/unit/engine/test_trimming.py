"""Each thing trimmed from TaskFlow's engine: still needed, and still right.

A test here that fails after an upgrade of TaskFlow says that a trim in
glance/engine/run.py has become needless or wrong.
"""

import functools
import threading
from concurrent import futures

import greenlet
import pytest
from futurist import waiters
from taskflow import exceptions, storage, task
from taskflow.engines.action_engine import engine
from taskflow.persistence import models
from taskflow.persistence.backends import impl_memory

from glance import threads
from glance.engine import run
from glance.engine.runs import LiveRuns
from glance.flows.atoms import StepAtom, linear
from glance.logbook import Logbook
from glance.testing.fakes import FakeQueue, Gate, gated_flow


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
    for kind, expected in ((storage.Storage, 2), (run.LeanStorage, 0)):
        made = kind(detail, backend=book)
        made.ensure_atom(task.FunctorTask(lambda: None, name='a'))
        book.count = 0
        made.set_task_progress('a', 0.0)
        made.set_task_progress('a', 1.0)
        assert book.count == expected


def test_lean_storage_keeps_progress_that_somebody_reports():
    made = run.LeanStorage(models.FlowDetail('f', 'uuid'), backend=Logbook())
    made.ensure_atom(task.FunctorTask(lambda: None, name='a'))
    made.set_task_progress('a', 0.5)
    assert made.get_task_progress('a') == 0.5


@pytest.mark.parametrize(('kind', 'tries'), [(storage.Storage, 3), (run.LeanStorage, 1)])
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
    made = run.LeanStorage(models.FlowDetail('f', 'uuid'), backend=Logbook())
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
    runner = run.FlowRunner(LiveRuns(), threads.pool(2))
    one, two = (runner._engine(flow, Logbook(), models.FlowDetail('f', str(n))) for n in range(2))
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
    atom = StepAtom(flow.each()[0])
    assert not atom.notifier.can_be_registered(task.EVENT_UPDATE_PROGRESS)


def test_stock_atoms_tell_all_who_listen():
    atom = task.FunctorTask(lambda: None, name='a')
    assert atom.notifier.can_be_registered(task.EVENT_UPDATE_PROGRESS)


def test_stock_engines_still_register_a_waiter_with_the_only_step_at_work(flow):
    made = engine.ParallelActionEngine(linear(flow), models.FlowDetail('f', 'uuid'), None, {})
    made.compile()
    assert made._runtime.builder._waiter is waiters.wait_for_any


def test_one_step_at_work_is_waited_for_as_such():
    wait = functools.partial(run._wait_for_any, waiters.wait_for_any)
    alone = futures.Future()
    assert wait({alone}, 0) == (set(), {alone})
    threading.Timer(0.01, alone.set_exception, [ValueError()]).start()
    assert wait({alone}) == ({alone}, set())
    cancelled = futures.Future()
    cancelled.cancel()
    assert wait({cancelled}) == ({cancelled}, set())
    other = futures.Future()
    assert wait({alone, other}) == ({alone}, {other})
