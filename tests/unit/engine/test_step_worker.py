"""What a worker does with an order."""

import contextlib
import dataclasses
import threading
import uuid

import pytest

from glance import toolbox
from glance.domain import errors
from glance.domain.entry import Held, Outcome
from glance.domain.lease import DatabaseGone, HandBack, Lacking, Lease, LostLease, Progress
from glance.domain.remote_steps import Announcement, Answer, Beat, Ending, Heard, Order, Question
from glance.engine import step_worker
from glance.engine.active_runs import ActiveRuns
from glance.interfaces.flow import Flow, Step
from glance.testing.fakes.link import FakeLink
from glance.testing.fakes.queue import FakeQueue
from glance.testing.fakes.toolbox import fake_toolbox

PATIENCE = 20
CONDUCTOR = 'glance.conductor'


class Remote(Step):
    """Returns what it gets, twice, when it may go on."""

    name = 'double'
    provides = 'doubled'
    moves_bytes = True

    def __init__(self):
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self.error = None
        self.is_deaf = False

    def _may_go_on(self):
        while self.is_deaf and not self.go_on.is_set():
            with contextlib.suppress(BaseException):
                self.go_on.wait(PATIENCE)
        return self.go_on.wait(0.01)

    def do(self, lease, word, extra=''):
        self.begun.set()
        while not self._may_go_on():
            toolbox.current().runs.raise_if_stopped(lease)
        if self.error:
            raise self.error
        return word * 2 + extra


class Inline(Step):
    name = 'inline'
    provides = 'extra'

    def do(self):
        raise AssertionError('a worker must not do this')

    def is_reusable(self, given):
        return given != 'gone'


class Logbook:
    """What steps have returned, in memory. error: what saving raises."""

    def __init__(self, results):
        self.saved = dict(results)
        self.error = None

    def results(self):
        return dict(self.saved)

    def load(self, flow):
        self.saved = {name: self.saved[name] for name in flow.resumable_steps(self.saved)}

    def save_result(self, name, given):
        if self.error:
            raise self.error
        self.saved[name] = given


class Claims:
    def __init__(self, queue):
        self._queue = queue
        self.present = {}
        self.told = []
        self.error = None

    def read(self, lease):
        if self.error:
            raise self.error
        if lease not in self.present:
            raise LostLease(str(lease))
        return self.present[lease]

    def tell(self, lease):
        self.told.append(lease)

    def held(self, leases):
        if self.error:
            raise self.error
        return [
            Held(lease, self.present[lease].cancel_requested)
            for lease in leases
            if lease in self.present
        ]


class Bench:
    """A worker with one order."""

    def __init__(self, slots=2, at_work=4):
        self.step = Remote()
        self.queue = FakeQueue()
        self.queue.add('t1', work={'word': 'ab'})
        [claim] = self.queue.claim('conductor', 1, seconds=60, versions={'test': 1})
        self.lease = claim.lease
        self.claims = Claims(self.queue)
        self.claims.present[claim.lease] = claim
        self.logbook = Logbook({'inline': '!'})
        self.runs = ActiveRuns(at_work)
        self.link = FakeLink('glance.worker')
        self.given_up = []
        flow = Flow('test', 1, (Inline(), self.step), lambda *_: None, lambda *_: None)
        self.worker = step_worker.StepWorker(
            self.claims,
            {'test': flow},
            self.runs,
            lambda claim, flow: self.logbook,
            lambda free, leaving: Announcement(
                'glance.worker', 'host', 'area', '1', 'here', ['default'], [], slots, free, leaving
            ),
            self.given_up.append,
            slots=slots,
        )
        toolbox.fill(fake_toolbox(self.queue, self.runs))
        self.worker.start(self.link)

    def order(self, step='double', lease=None, to='glance.worker'):
        """An order, which its conductor has noted; to is the worker that it has chosen."""
        lease = lease or self.lease
        order = Order(lease.task_id, lease.number, step, CONDUCTOR, str(uuid.uuid4()))
        claim = self.claims.present.get(lease)
        if to and claim:
            sent = claim.sent.plus(step, to, order.sending)
            self.claims.present[lease] = dataclasses.replace(claim, sent=sent)
        return order

    def ending(self, order):
        """How an order has ended, once it has."""
        found = []

        def answered():
            found[:] = [one for one in self.link.of(Answer) if one.sending == order.sending]
            return bool(found)

        self.queue.wait_until(answered, every=0.01)
        return found[0].ending

    def carry_out(self, order):
        self.worker.receive(order)
        ending = self.ending(order)
        self.worker.receive(Heard(order.sending))
        return ending


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.step.go_on.set()
    for answer in bench.link.of(Answer):
        bench.worker.receive(Heard(answer.sending))
    bench.worker.stop(0)
    toolbox.fill(None)


def test_a_step_gets_the_work_and_earlier_results_and_its_own_is_saved(bench):
    assert bench.carry_out(bench.order()) == Ending.DONE
    assert bench.logbook.saved == {'inline': '!', 'double': 'abab!'}
    assert len(bench.runs) == 0


def test_a_failure_is_recorded_before_it_is_answered(bench):
    bench.step.error = errors.TaskFailed('It broke on purpose.')
    assert bench.carry_out(bench.order()) == Ending.FAILED
    assert bench.queue.outcome(bench.lease) == (Outcome.FAILURE, 'It broke on purpose.')
    assert 'double' not in bench.logbook.saved


@pytest.mark.parametrize('step', ['inline', 'unknown'])
def test_a_step_that_is_not_for_workers_is_refused(bench, step):
    assert bench.carry_out(bench.order(step)) == Ending.REFUSED
    assert bench.worker.refused == 1


@pytest.mark.parametrize('version', [0, 2])
def test_a_task_of_another_flow_version_is_refused(bench, version):
    """Its steps may have other names, or need another work."""
    order = bench.order()
    claim = bench.claims.present[bench.lease]
    bench.claims.present[bench.lease] = dataclasses.replace(claim, flow_version=version)
    assert bench.carry_out(order) == Ending.REFUSED
    assert not bench.step.begun.is_set()


def test_what_an_earlier_claim_left_and_is_gone_is_done_again_by_the_next(bench):
    bench.logbook.saved['inline'] = 'gone'
    assert bench.carry_out(bench.order()) == Ending.HANDED_BACK
    assert bench.logbook.saved == {}
    assert not bench.step.begun.is_set()


def test_what_this_worker_did_in_this_claim_must_not_go(bench):
    """The step finds out, and fails."""
    bench.carry_out(bench.order('inline'))  # it has seen it under this lease
    bench.logbook.saved['inline'] = 'gone'
    assert bench.carry_out(bench.order()) == Ending.DONE


def test_a_stale_lease_is_refused(bench):
    stale = Lease(bench.lease.task_id, bench.lease.number + 1)
    assert bench.carry_out(bench.order(lease=stale)) == Ending.REFUSED
    assert not bench.step.begun.is_set()


@pytest.mark.parametrize('to', [None, 'glance.other'])
def test_an_order_that_is_not_noted_for_this_worker_is_refused(bench, to):
    """Somebody made it up, or copied it from the queue of another worker."""
    assert bench.carry_out(bench.order(to=to)) == Ending.REFUSED
    assert bench.worker.refused == 1
    assert not bench.step.begun.is_set()


def test_the_right_order_is_carried_out_after_one_that_was_made_up(bench):
    right, wrong = bench.order(), bench.order(to=None)
    assert bench.carry_out(wrong) == Ending.REFUSED
    assert bench.carry_out(right) == Ending.DONE


def test_a_step_is_not_done_twice_under_one_lease(bench):
    first, again = bench.order(), bench.order(to=None)
    assert bench.carry_out(first) == Ending.DONE
    bench.step.begun.clear()
    assert bench.carry_out(again) == Ending.REFUSED
    assert bench.worker.refused == 1
    assert not bench.step.begun.is_set()


def test_an_order_that_is_still_at_work_is_not_begun_by_a_second_one(bench):
    """Its conductor sends no other, and somebody else cannot note one."""
    bench.step.go_on.clear()
    first, again = bench.order(), bench.order(to=None)
    bench.worker.receive(first)
    assert bench.step.begun.wait(PATIENCE)
    assert bench.carry_out(again) == Ending.REFUSED
    bench.step.go_on.set()
    assert bench.ending(first) == Ending.DONE


def test_an_order_that_arrives_twice_is_carried_out_once(bench):
    order = bench.order()
    assert bench.carry_out(order) == Ending.DONE
    bench.step.begun.clear()
    bench.worker.receive(order)
    assert not bench.step.begun.is_set()
    assert bench.worker.refused == 0  # its conductor did not know that it had arrived


def test_an_order_that_is_at_work_is_known_after_any_number_of_others(bench):
    bench.step.go_on.clear()
    order = bench.order()
    bench.worker.receive(order)
    assert bench.step.begun.wait(PATIENCE)
    bench.step.begun.clear()
    other = bench.order(to=None)
    bench.worker.receive(other)  # takes the other slot for a moment
    for _ in range(step_worker.MOST_REMEMBERED):
        bench.worker.receive(dataclasses.replace(other, sending=str(uuid.uuid4())))
    bench.worker.receive(order)
    bench.step.go_on.set()
    assert bench.ending(order) == Ending.DONE
    assert not bench.step.begun.is_set()


def test_a_step_is_not_done_before_its_turn(bench):
    bench.logbook.saved.clear()
    assert bench.carry_out(bench.order()) == Ending.REFUSED
    assert bench.worker.refused == 1
    assert not bench.step.begun.is_set()


def test_a_step_is_not_done_again_after_it_is_finished(bench):
    bench.logbook.saved['double'] = 'abab!'
    assert bench.carry_out(bench.order()) == Ending.REFUSED
    assert not bench.step.begun.is_set()


def test_an_answer_is_not_repeated_for_a_lease_that_is_lost(bench):
    """Its conductor may be dead, and whatever is sent to it would stay at the broker."""
    order = bench.order()
    bench.worker.receive(order)
    assert bench.ending(order) == Ending.DONE
    del bench.claims.present[bench.lease]
    bench.worker.receive(Question())  # look now
    bench.queue.wait_until(lambda: not bench.worker.unheard, every=0.01)


def test_a_lost_lease_stops_a_step(bench):
    bench.step.go_on.clear()
    order = bench.order()
    bench.worker.receive(order)
    assert bench.step.begun.wait(PATIENCE)
    del bench.claims.present[bench.lease]
    bench.worker.receive(Question())  # look now
    assert bench.ending(order) == Ending.HANDED_BACK
    assert 'double' not in bench.logbook.saved


def test_a_cancelled_run_does_not_wait_for_a_step_that_does_not_listen(bench):
    bench.step.go_on.clear()
    bench.step.is_deaf = True
    order = bench.order()
    bench.worker.receive(order)
    assert bench.step.begun.wait(PATIENCE)
    present = bench.claims.present
    present[bench.lease] = dataclasses.replace(present[bench.lease], cancel_requested=True)
    assert bench.ending(order) == Ending.STUCK
    assert len(bench.runs) == 1  # it keeps its place
    bench.step.go_on.set()


def test_what_a_step_has_told_before_it_was_stopped_is_written(bench):
    bench.step.error = HandBack()
    assert bench.carry_out(bench.order()) == Ending.HANDED_BACK
    assert bench.claims.told == [bench.lease]


def test_a_result_that_the_fence_refuses_is_not_done(bench):
    bench.logbook.error = LostLease('t1.1')
    assert bench.carry_out(bench.order()) == Ending.HANDED_BACK


def free(bench):
    return bench.link.of(Announcement)[-1].free


def test_a_database_that_is_away_is_said(bench):
    """Its slots are free all the time. If it offered them, all steps would come here."""
    bench.claims.error = DatabaseGone('away')
    assert bench.carry_out(bench.order()) == Ending.DATABASE_GONE
    bench.queue.wait_until(lambda: free(bench) == 0, every=0.01)
    before = len(bench.link.of(Announcement))
    bench.queue.wait_until(lambda: len(bench.link.of(Announcement)) > before + 1, every=0.01)
    assert free(bench) == 0
    bench.claims.error = None
    bench.queue.wait_until(lambda: free(bench) == 2, every=0.01)


def test_a_worker_that_lacks_something_wants_no_more_for_a_while(bench):
    bench.step.error = Lacking('descriptors')
    assert bench.carry_out(bench.order()) == Ending.HANDED_BACK
    bench.queue.wait_until(lambda: free(bench) == 0, every=0.01)
    bench.queue.wait_until(lambda: free(bench) == 2, every=0.01)


def test_an_unknown_error_of_the_worker_is_an_attempt(bench):
    bench.logbook.error = ZeroDivisionError()
    assert bench.carry_out(bench.order()) == Ending.HANDED_BACK
    assert bench.given_up == [bench.lease]


def test_an_answer_is_sent_until_it_is_heard(bench):
    order = bench.order()
    bench.worker.receive(order)
    assert bench.ending(order) == Ending.DONE

    def times():
        return sum(answer.sending == order.sending for answer in bench.link.of(Answer))

    bench.queue.wait_until(lambda: times() >= 3, every=0.01)
    bench.worker.receive(Heard(order.sending))
    before = times()
    beats = len(bench.link.of(Announcement))
    bench.queue.wait_until(lambda: len(bench.link.of(Announcement)) > beats + 1, every=0.01)
    assert times() <= before + 1  # one may have been under way


def test_beats_name_what_is_at_work_and_how_far_it_is(bench):
    bench.step.go_on.clear()
    order = bench.order()
    bench.worker.receive(order)
    assert bench.step.begun.wait(PATIENCE)
    bench.runs.get(bench.lease).progress = Progress(0, 4096)
    bench.queue.wait_until(
        lambda: Beat('glance.worker', {order.sending: 4096}) in bench.link.of(Beat), every=0.01
    )


@pytest.fixture
def crowded():
    """A worker where nothing begins until the deaf step of another lease has ended."""
    bench = Bench(at_work=1)
    bench.queue.add('t2', work={'word': 'cd'})
    [claim] = bench.queue.claim('conductor', 1, seconds=60, versions={'test': 1})
    bench.claims.present[claim.lease] = claim
    bench.step.is_deaf = True
    bench.step.go_on.clear()
    bench.worker.receive(bench.order(lease=claim.lease))
    assert bench.step.begun.wait(PATIENCE)
    bench.step.begun.clear()
    yield bench, claim.lease
    bench.step.go_on.set()
    bench.queue.wait_until(lambda: not len(bench.runs), every=0.01)
    for answer in bench.link.of(Answer):
        bench.worker.receive(Heard(answer.sending))
    bench.worker.stop(0)
    toolbox.fill(None)


def test_a_step_that_waits_until_it_may_begin_says_so(crowded):
    """Else its conductor would take it for one that hangs."""
    bench, _other = crowded
    order = bench.order()
    bench.worker.receive(order)
    bench.queue.wait_until(lambda: bench.runs.task_ids() == {'t1', 't2'}, every=0.01)
    bench.queue.wait_until(
        lambda: any(len(one.at_work) == 2 for one in bench.link.of(Beat)), every=0.01
    )
    at_work = bench.link.of(Beat)[-1].at_work
    assert (at_work.pop(order.sending), *at_work.values()) == (-1, 0)
    assert not bench.step.begun.is_set()


def test_what_waits_behind_steps_that_do_not_end_is_handed_back(crowded):
    bench, other = crowded
    order = bench.order()
    bench.worker.receive(order)
    del bench.claims.present[other]  # its lease is lost, and it does not listen
    assert bench.ending(order) == Ending.HANDED_BACK
    assert not bench.step.begun.is_set()
    bench.queue.wait_until(lambda: bench.link.of(Announcement)[-1].free == 0, every=0.01)


def test_what_has_no_slot_is_handed_back_at_once():
    bench = Bench(slots=1)
    bench.step.go_on.clear()
    first, second = bench.order(), bench.order(lease=Lease('t2', 1))
    bench.worker.receive(first)
    assert bench.step.begun.wait(PATIENCE)
    bench.worker.receive(second)
    assert bench.ending(second) == Ending.HANDED_BACK
    bench.step.go_on.set()
    assert bench.ending(first) == Ending.DONE
    for order in (first, second):
        bench.worker.receive(Heard(order.sending))
    bench.worker.stop(0)


def test_a_worker_without_work_says_that_it_leaves(bench):
    bench.queue.wait_until(lambda: bench.link.of(Announcement), every=0.01)
    bench.worker.stop(0)
    assert bench.link.of(Announcement)[-1].leaving


def test_a_worker_that_stops_says_so_and_hands_back(bench):
    bench.step.go_on.clear()
    order = bench.order()
    bench.worker.receive(order)
    assert bench.step.begun.wait(PATIENCE)
    stopping = threading.Thread(target=bench.worker.stop, args=(0,))
    stopping.start()
    assert bench.ending(order) == Ending.HANDED_BACK
    bench.worker.receive(Heard(order.sending))
    stopping.join(PATIENCE)
    assert not stopping.is_alive()
    assert bench.link.of(Announcement)[-1].leaving
    late = bench.order()
    bench.worker.receive(late)
    assert len(bench.runs) == 0
