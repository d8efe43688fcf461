"""A logbook that a conductor and its workers share."""

import pytest
from taskflow import states
from taskflow.persistence import models

from glance.domain.lease import LostLease, Progress
from glance.interfaces.flow import Flow, Step
from tests.contract.sql_queue import SqlQueue


class Named(Step):
    def __init__(self, name):
        self.name = name

    def do(self):
        pass


FLOW = Flow(
    'test', 1, tuple(map(Named, ('one', 'two', 'three'))), lambda *_: None, lambda *_: None
)


@pytest.fixture
def queue(tmp_path):
    queue = SqlQueue(f'sqlite:///{tmp_path}/glance.sqlite')
    queue.add('t1')
    yield queue
    queue.database.close()


def claim(queue):
    [claimed] = queue.claim('conductor', 1, seconds=60, versions={'test': 1})
    return claimed


def ended(name, given):
    detail = models.TaskDetail(name, f'uuid-of-{name}')
    detail.put(states.SUCCESS, given)
    detail.state, detail.version = states.SUCCESS, '1.0'
    return detail


def test_each_sees_what_the_other_has_saved(queue):
    claimed = claim(queue)
    conductor, worker = (queue.logbook(claimed, FLOW) for _ in range(2))
    conductor.begin()
    assert worker.results() == {}
    worker.save_result('one', {'size': 1})
    assert conductor.results() == {'one': {'size': 1}}
    conductor.ended(ended('one', {'size': 1}))  # the engine says it too; it is saved already
    conductor.ended(ended('two', None))
    assert worker.results() == {'one': {'size': 1}, 'two': None}
    worker.save_result('three', 'x')
    queue.release(claimed.lease, Progress(3))
    again = claim(queue)
    assert again.best_progress.step == 3
    detail = queue.logbook(again, FLOW).load(FLOW)
    assert {atom.name: atom.results for atom in detail} == conductor.results()


def test_a_worker_whose_lease_is_lost_saves_nothing(queue):
    claimed = claim(queue)
    worker = queue.logbook(claimed, FLOW)
    worker.begin()
    queue.release(claimed.lease, Progress())
    again = claim(queue)
    with pytest.raises(LostLease):
        worker.save_result('one', 1)
    assert queue.logbook(again, FLOW).results() == {}
