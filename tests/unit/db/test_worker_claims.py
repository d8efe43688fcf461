"""What a worker reads of the entries that others hold."""

import pytest

from glance.db.worker_claims import WorkerClaims
from glance.domain.entry import UNKNOWN_HOLDER, Held
from glance.domain.events import Kind
from glance.domain.lease import Lease, LostLease, Progress
from glance.domain.sent_steps import SentSteps
from glance.interfaces.flow import Flow
from tests.contract.sql_queue import SqlQueue

FLOW = Flow('test', 1, (), lambda *_: None, lambda *_: None)


@pytest.fixture
def queue(tmp_path):
    queue = SqlQueue(f'sqlite:///{tmp_path}/glance.sqlite')
    yield queue
    queue.database.close()


def claim(queue):
    [claimed] = queue.claim('conductor', 1, seconds=60, versions={'test': 1})
    return claimed


def test_a_worker_reads_the_claim_as_its_holder_has_it(queue):
    queue.add('t1', work={'word': 'ab'})
    claimed = claim(queue)
    assert WorkerClaims(queue.database).read(claimed.lease) == claimed


def test_a_worker_reads_which_steps_were_sent_to_whom_under_this_lease(queue):
    queue.add('t1')
    claimed = claim(queue)
    lease, logbook = claimed.lease, queue.logbook(claimed, FLOW)
    claims = WorkerClaims(queue.database)
    assert claims.read(lease).sent == SentSteps()
    logbook.note_sent('fetch', 'glance.one', 'a')
    logbook.note_sent('check', 'glance.two', 'b')
    sent = claims.read(lease).sent
    assert sent.has('fetch', 'glance.one', 'a')
    assert sent.has('check', 'glance.two', 'b')
    assert not sent.has('check', 'glance.one', 'b')
    queue.release(lease, Progress())
    again = claim(queue).lease
    assert claims.read(again).sent == SentSteps()
    with pytest.raises(LostLease):
        logbook.note_sent('store', 'glance.one', 'c')
    assert claims.read(again).sent == SentSteps()


def test_what_a_run_has_told_is_written_before_a_worker_tells_more(queue):
    queue.add('t1')
    claimed = claim(queue)
    claimed.lease.events.tell(Kind.RESUMED)
    queue.logbook(claimed, FLOW).note_sent('fetch', 'glance.one', 'a')
    assert queue.events_of('t1')[-1].kind == Kind.RESUMED


def test_of_a_later_claim_nobody_is_known_to_be_dead(queue):
    queue.add('t1')
    queue.release(claim(queue).lease, Progress())
    claimed = claim(queue)
    assert claimed.predecessor is None
    assert WorkerClaims(queue.database).read(claimed.lease).predecessor == UNKNOWN_HOLDER


def test_a_lease_that_is_not_the_present_one_is_lost(queue):
    queue.add('t1')
    lease = claim(queue).lease
    claims = WorkerClaims(queue.database)
    for number in (0, 2):
        with pytest.raises(LostLease):
            claims.read(Lease('t1', number))
    queue.release(lease, Progress())  # nobody holds it now
    with pytest.raises(LostLease):
        claims.read(lease)


def test_a_worker_sees_which_leases_are_held_and_cancelled(queue):
    for task_id in ('t1', 't2'):
        queue.add(task_id)
    one, other = (claim(queue).lease for _ in range(2))
    queue.cancel(one.task_id)
    claims = WorkerClaims(queue.database)
    assert sorted(claims.held([one, other, Lease('t3', 1)]), key=str) == sorted(
        [Held(one, True), Held(other, False)], key=str
    )
    queue.release(other, Progress())
    assert claims.held([one, other]) == [Held(one, True)]
