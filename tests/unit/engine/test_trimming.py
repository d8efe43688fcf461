"""Each thing trimmed from TaskFlow's engine: still needed, and still right.

A test here that fails after an upgrade of TaskFlow says that a trim in
glance/engine/run.py has become needless or wrong.
"""

import greenlet
import pytest
from taskflow import exceptions, storage, task
from taskflow.engines.action_engine import engine
from taskflow.persistence import models
from taskflow.persistence.backends import impl_memory

from glance import threads
from glance.engine import run
from glance.engine.memory_logbook import MemoryLogbook
from glance.engine.runs import LiveRuns
from glance.flows.atoms import StepAtom, linear
from glance.testing.fakes import FakeQueue, Gate, gated_flow


@pytest.fixture
def flow():
    return gated_flow(Gate(), FakeQueue())


class Writes(MemoryLogbook):
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
    made = run.LeanStorage(models.FlowDetail('f', 'uuid'), backend=MemoryLogbook())
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


def a_second_greenlet_passes_for_the_writer(lock):
    """Whether a bare greenlet, as futurist's stock workers are, is let in with another."""
    found = []

    def first():
        with lock.write_lock():
            greenlet.greenlet(lambda: found.append(lock.is_writer())).switch()

    greenlet.greenlet(first).switch()
    return found[0]


@pytest.mark.green
def test_the_storage_lock_knows_its_owner_by_green_thread():
    detail = models.FlowDetail('f', 'uuid')
    assert not a_second_greenlet_passes_for_the_writer(
        run.LeanStorage(detail, backend=MemoryLogbook()).lock
    )
    assert a_second_greenlet_passes_for_the_writer(storage.Storage(detail).lock)


def test_stock_memory_logbook_still_copies():
    backend = impl_memory.MemoryBackend()
    connection = backend.get_connection()
    book = models.LogBook('b')
    detail = models.FlowDetail('f', 'uuid')
    book.add(detail)
    connection.save_logbook(book)
    assert connection.get_flow_details('uuid') is not detail
    assert MemoryLogbook().get_connection().update_flow_details(detail) is detail


def test_engines_of_one_flow_share_one_compilation(flow):
    runner = run.FlowRunner(LiveRuns(), threads.pool(2))
    one, two = (
        runner._engine(flow, MemoryLogbook(), models.FlowDetail('f', str(n))) for n in range(2)
    )
    one.compile()
    two.compile()
    assert one.compilation is two.compilation
    assert one.storage is not two.storage


def test_stock_engines_do_not_share_theirs(flow):
    made = [
        engine.SerialActionEngine(
            linear(flow), models.FlowDetail('f', str(n)), MemoryLogbook(), {}
        )
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
