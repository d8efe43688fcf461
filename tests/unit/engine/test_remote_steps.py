"""What becomes of the steps that a process has sent to workers."""

import dataclasses
import math
import uuid

import pytest

from glance.domain.entry import Claim
from glance.domain.lease import HandBack, Lease, LostLease, Progress, WorkerGaveUp, WorkerLost
from glance.domain.place import Place
from glance.domain.remote_steps import Announcement, Answer, Beat, Ending, Heard, Order, Sweep
from glance.engine import remote_steps
from glance.engine.active_runs import ActiveRuns
from glance.engine.worker_directory import WorkerDirectory
from glance.testing.fakes.link import FakeLink

SILENCE = 5
LEASE = Lease(str(uuid.uuid4()), 1)
WORKER = Announcement('glance.one', 'host', 'area', '1.0', 'here', ['default'], ['fast'], 2, 2)


class Remote(remote_steps.RemoteSteps):
    """Its time passes when the test says so: it has no thread.

    notes  whether the choice of a worker is noted at once, so that the order is sent
    """

    now = 0.0
    notes = True

    def start(self, link):
        self._link = link

    def submit(self, *args):
        return super().submit(*args).future

    def _assign(self, sending):
        found = super()._assign(sending)
        if found and self.notes:
            self.send(sending)
        return found

    def pass_time(self, seconds):
        self.now += seconds
        with self._lock:
            self._drop_stopped()
            if self._can_hear(self.now):
                self._look_for_lost(seconds)
            self._assign_waiting()
        self._tell_missing()


@pytest.fixture
def runs():
    runs = ActiveRuns()
    runs.begin(claim(LEASE))
    return runs


@pytest.fixture
def link():
    return FakeLink('glance.conductor')


@pytest.fixture
def remote(runs, link):
    remote = Remote(runs, WorkerDirectory('1.0', 'here', ['default'], SILENCE), SILENCE)
    remote.start(link)
    return remote


def claim(lease):
    return Claim(lease, 'test', 1, {}, 0, Progress(), None, '', False)


def orders(link):
    return link.of(Order)


def test_a_step_goes_to_a_worker_that_has_announced_itself(remote, link):
    remote.receive(WORKER)
    future = remote.submit(LEASE, 'fetch')
    [order] = orders(link)
    assert (order.of, order.step, order.reply_to) == (LEASE, 'fetch', 'glance.conductor')
    remote.receive(Answer('glance.one', order.sending, Ending.DONE))
    assert future.result(0) == Ending.DONE
    assert ('glance.one', Heard(order.sending)) in link.sent


def test_a_step_waits_until_there_is_a_worker(remote, link):
    future = remote.submit(LEASE, 'fetch')
    assert orders(link) == []
    remote.receive(WORKER)
    assert len(orders(link)) == 1
    assert not future.done()


def test_an_order_that_its_worker_knows_is_sent_once(remote, link):
    remote.receive(WORKER)
    remote.submit(LEASE, 'fetch')
    for _ in range(3):
        remote.receive(WORKER)
        remote.receive(Beat('glance.one', {orders(link)[0].sending: 0}))
        remote.pass_time(1)
    assert len(orders(link)) == 1


def test_an_order_that_its_worker_does_not_speak_of_is_sent_again(remote, link):
    """It may have been lost. It is the same sending, to the same worker."""
    remote.receive(WORKER)
    remote.submit(LEASE, 'fetch')
    for _ in range(4):
        remote.receive(WORKER)
        remote.pass_time(1)
    assert len(orders(link)) > 1
    assert len(set(orders(link))) == 1


@pytest.fixture
def chosen(remote):
    """A sending for which there is a worker, and whose order is not sent yet."""
    remote.notes = False
    remote.receive(WORKER)
    sending = remote_steps.RemoteSteps.submit(remote, LEASE, 'fetch')
    assert sending.chosen.is_set()
    return sending


def test_an_order_is_sent_when_the_choice_of_its_worker_is_noted(remote, link, chosen):
    for _ in range(2):
        remote.receive(WORKER)
        remote.pass_time(SILENCE)  # to note it takes long
    assert orders(link) == []
    remote.send(chosen)
    [order] = orders(link)
    assert (order.sending, link.sent[-1][0]) == (chosen.id, chosen.worker)


def test_a_worker_that_is_lost_before_the_order_is_sent_caused_no_death(remote, link, chosen):
    remote.pass_time(SILENCE + 1)
    assert isinstance(chosen.future.exception(0), WorkerGaveUp)
    remote.send(chosen)
    assert orders(link) == []


def test_a_sending_that_is_withdrawn_leaves_its_slot(remote, link, chosen):
    remote.withdraw(chosen, HandBack())
    assert isinstance(chosen.future.exception(0), HandBack)
    remote.notes = True
    for _ in range(WORKER.slots):
        remote.submit(LEASE, 'fetch')
    assert len(orders(link)) == WORKER.slots


def test_who_waits_for_a_worker_hears_that_the_run_is_stopped(remote, runs):
    sending = remote_steps.RemoteSteps.submit(remote, LEASE, 'fetch')
    assert not sending.chosen.is_set()
    runs.get(LEASE).stop = HandBack()
    remote.pass_time(1)
    assert sending.chosen.is_set()
    assert sending.worker is None


def test_after_a_stop_nobody_waits(remote):
    remote.stop()
    assert isinstance(remote.submit(LEASE, 'fetch').exception(0), HandBack)


def test_a_step_that_waits_for_a_slot_is_sent_when_one_is_free(remote, link):
    remote.receive(WORKER)
    for _ in range(3):
        remote.submit(LEASE, 'fetch')
    assert len(orders(link)) == 2
    remote.receive(Answer('glance.one', orders(link)[0].sending, Ending.DONE))
    assert len(orders(link)) == 3


@pytest.mark.parametrize(('worker', 'is_known'), [('glance.one', False), ('glance.forger', True)])
def test_an_answer_to_nothing_is_counted_ignored_and_heard(remote, link, worker, is_known):
    remote.receive(WORKER)
    future = remote.submit(LEASE, 'fetch')
    sending = orders(link)[0].sending if is_known else str(uuid.uuid4())
    remote.receive(Answer(worker, sending, Ending.DONE))
    assert not future.done()
    assert remote.ignored == 1
    assert (worker, Heard(sending)) in link.sent


def test_an_answer_that_comes_twice_counts_once(remote, link):
    remote.receive(WORKER)
    future = remote.submit(LEASE, 'fetch')
    [order] = orders(link)
    for ending in (Ending.DONE, Ending.FAILED):
        remote.receive(Answer('glance.one', order.sending, ending))
    assert future.result(0) == Ending.DONE


def test_a_silent_worker_is_lost_and_its_run_dropped(remote, link):
    remote.receive(WORKER)
    future = remote.submit(LEASE, 'fetch')
    remote.pass_time(SILENCE)
    assert not future.done()
    remote.pass_time(1)
    assert isinstance(future.exception(0), WorkerLost)
    sent = len(orders(link))
    other = remote.submit(LEASE, 'fetch')
    assert len(orders(link)) == sent  # it gets nothing more until it is heard again
    assert not other.done()


def test_silence_of_the_broker_is_not_the_death_of_a_worker(remote, link):
    remote.receive(WORKER)
    future = remote.submit(LEASE, 'fetch')
    link.age = 60
    for _ in range(60):
        remote.pass_time(1)
    link.age = 0
    remote.pass_time(SILENCE - 1)
    assert not future.done()


def test_workers_get_time_to_come_back_after_the_broker_was_away(remote, link):
    """They may have begun an attempt to connect just before it was back."""
    remote.receive(WORKER)
    future = remote.submit(LEASE, 'fetch')
    link.age = 60
    remote.pass_time(60)
    link.age = 0
    for _ in range(int(remote_steps.RECONNECT_TIME) + SILENCE):
        remote.pass_time(1)
    assert not future.done()
    for _ in range(2):
        remote.pass_time(1)
    assert isinstance(future.exception(0), WorkerLost)


def test_an_echo_that_is_a_little_late_is_no_outage(remote, link):
    remote.receive(WORKER)
    future = remote.submit(LEASE, 'fetch')
    link.age = 3
    remote.pass_time(SILENCE + 1)
    assert not future.done()
    link.age = 0
    remote.pass_time(SILENCE + 1)
    assert isinstance(future.exception(0), WorkerLost)


def test_a_worker_that_does_not_know_of_a_step_has_lost_it(remote, link):
    remote.receive(WORKER)
    lost, kept = (remote.submit(LEASE, step) for step in ('fetch', 'check'))
    for _ in range(SILENCE + 1):
        remote.receive(Beat('glance.one', {orders(link)[1].sending: 7}))
        remote.pass_time(1)
    assert isinstance(lost.exception(0), WorkerLost)
    assert not kept.done()


def test_a_beat_is_progress_of_the_run(remote, link, runs):
    remote.receive(WORKER)
    remote.submit(LEASE, 'fetch')
    remote.receive(Beat('glance.one', {orders(link)[0].sending: 4096}))
    assert runs.get(LEASE).progress == Progress(0, 4096)


def test_a_step_that_waits_at_its_worker_does_not_hang(remote, link, runs):
    remote.receive(WORKER)
    remote.submit(LEASE, 'fetch')
    run = runs.get(LEASE)
    for moved, is_renewed in ((-1, True), (0, False), (-1, True), (7, True), (7, False)):
        run.progress_at = 0.0
        remote.receive(Beat('glance.one', {orders(link)[0].sending: moved}))
        assert (run.progress_at > 0) == is_renewed


def test_a_beat_of_another_worker_is_no_progress(remote, link, runs):
    remote.receive(WORKER)
    remote.submit(LEASE, 'fetch')
    remote.receive(Beat('glance.forger', {orders(link)[0].sending: 4096}))
    assert runs.get(LEASE).progress == Progress()


def test_a_run_that_is_stopped_waits_no_longer(remote, runs):
    remote.receive(WORKER)
    future = remote.submit(LEASE, 'fetch')
    runs.get(LEASE).stop = HandBack()
    remote.pass_time(1)
    assert isinstance(future.exception(0), HandBack)


def test_a_run_that_has_ended_waits_no_longer(remote, runs):
    future = remote.submit(LEASE, 'fetch')
    runs.end(LEASE)
    remote.pass_time(1)
    assert isinstance(future.exception(0), LostLease)


def test_a_cancelled_run_does_not_wait_for_a_worker(remote, runs):
    future = remote.submit(LEASE, 'fetch')
    runs.get(LEASE).cancelled = True
    remote.pass_time(1)
    assert future.result(0) == Ending.REFUSED


FILES = Place('area', 'fast', 'host')
OTHER = dataclasses.replace(WORKER, worker='glance.two', host='h2', area='other')


def test_few_tasks_wait_here_while_no_worker_has_a_free_slot(remote):
    """The others wait in the queue, where any conductor can take them."""
    assert remote.room() == remote_steps.MOST_IN_LINE
    remote.submit(LEASE, 'fetch')
    assert remote.room() == remote_steps.MOST_IN_LINE - 1
    remote.receive(dataclasses.replace(WORKER, topics=['other']))
    assert remote.room() == remote_steps.MOST_IN_LINE - 1
    remote.receive(WORKER)
    assert remote.room() == math.inf
    for _ in range(WORKER.slots + remote_steps.MOST_IN_LINE):
        remote.submit(LEASE, 'fetch')
    assert remote.room() == 0


def test_what_waits_for_a_store_that_is_not_there_keeps_no_other_task_waiting(remote):
    remote.receive(WORKER)
    for _ in range(2 * remote_steps.MOST_IN_LINE):
        remote.submit(LEASE, 'fetch', Place(store='safe'))
    assert remote.room() == math.inf


def test_a_step_waits_for_the_host_that_has_what_it_needs(remote, link):
    remote.receive(OTHER)
    future = remote.submit(LEASE, 'check', FILES)
    behind = remote.submit(LEASE, 'fetch', Place(store='fast'))
    assert [order.step for order in orders(link)] == ['fetch']  # nobody waits behind another
    remote.pass_time(1)
    remote.receive(WORKER)
    assert [order.step for order in orders(link)] == ['fetch', 'check']
    remote.pass_time(1)
    assert not future.done()
    assert not behind.done()


def test_a_host_that_is_gone_is_waited_for_no_longer_if_others_can_begin_again(remote, link):
    remote.receive(OTHER)
    future = remote.submit(LEASE, 'check', FILES)
    for _ in range(SILENCE + 1):
        assert not future.done()
        assert not remote.is_gone('area')
        remote.receive(OTHER)
        remote.pass_time(1)
    assert future.result(0) == Ending.HOST_GONE
    assert orders(link) == []
    assert remote.is_gone('area')
    remote.receive(dataclasses.replace(WORKER, stores=[]))  # it is back without the store
    assert remote.is_gone('area')
    remote.receive(WORKER)
    assert not remote.is_gone('area')


def test_a_host_is_waited_for_if_nobody_else_is_there(remote, link):
    remote.receive(dataclasses.replace(OTHER, stores=['slow']))
    future = remote.submit(LEASE, 'check', FILES)
    for _ in range(3 * SILENCE):
        remote.pass_time(1)
    assert not future.done()
    remote.receive(WORKER)
    assert len(orders(link)) == 1


def test_silence_of_the_broker_is_not_the_end_of_a_host(remote, link):
    remote.receive(OTHER)
    future = remote.submit(LEASE, 'check', FILES)
    link.age = 60
    for _ in range(60):
        remote.pass_time(1)
    assert not future.done()
    assert remote.missing() == ['The message broker has not answered for 8 seconds or more']


def test_what_is_missing_is_logged_once_while_it_lasts(remote, caplog):
    sentence = 'No worker has announced itself; 2 steps wait'
    remote.submit(LEASE, 'fetch')
    remote.submit(LEASE, 'check')
    assert remote.missing() == [sentence]
    for _ in range(3):
        remote.pass_time(1)
    assert [record.getMessage() for record in caplog.records] == [sentence]
    remote.receive(WORKER)
    assert remote.missing() == []
    remote.pass_time(SILENCE + 1)  # it is gone, and both are dropped
    remote.submit(LEASE, 'fetch')
    for _ in range(3):
        remote.pass_time(1)
    assert caplog.records[-1].getMessage() == 'No worker has announced itself; 1 steps wait'


def test_a_worker_that_comes_at_once_is_not_missed(remote, caplog):
    remote.submit(LEASE, 'fetch')
    remote.pass_time(0.5)
    remote.receive(WORKER)
    remote.pass_time(1)
    assert caplog.records == []


def test_the_next_claim_goes_to_where_the_one_before_has_staged(remote, link, runs):
    remote.receive(WORKER)
    remote.submit(LEASE, 'fetch')
    remote.receive(dataclasses.replace(OTHER, slots=9, free=9))
    same_host = dataclasses.replace(WORKER, worker='glance.three')
    remote.receive(same_host)
    remote.pass_time(SILENCE + 1)
    for announced in (OTHER, same_host):
        remote.receive(announced)
    again = Lease(LEASE.task_id, 2)
    runs.begin(claim(again))
    remote.submit(again, 'fetch')
    assert link.sent[-1][0] == 'glance.three'


def test_all_are_asked_to_sweep(remote, link):
    remote.sweep(LEASE.task_id)
    assert link.sent[-1] == (None, Sweep(LEASE.task_id))
