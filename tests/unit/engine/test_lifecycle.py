"""What the log says of a run that was stopped, and what becomes of its task.

A task of an older version of its type is brought up to date before it is run.
"""

import dataclasses
import errno
import inspect
import logging

import pytest

from glance.domain import lease as leases
from glance.domain.lease import Drop, HandBack, Lacking, LostLease, NoFreeThread, Progress, Stalled
from glance.engine.active_runs import ActiveRuns
from glance.engine.drop_messages import MESSAGES
from glance.engine.lease_policy import LeasePolicy
from glance.engine.lifecycle import RunLifecycle
from glance.interfaces.executor import FlowRunner, RunResult
from glance.testing.fakes.flows import Gate, gated_flow
from glance.testing.fakes.queue import FakeQueue

DROPS = [
    kind
    for _name, kind in inspect.getmembers(leases, inspect.isclass)
    if issubclass(kind, Drop) and kind is not Drop
]

POLICY = LeasePolicy(lease_time=30, stall_timeout=10, max_attempts=3, poll_interval=60)


class Raises(FlowRunner):
    """Each run ends with this error."""

    def __init__(self, error):
        self.error = error

    def run_flow(self, flow, claim):
        raise self.error


@pytest.fixture
def dropped(caplog):
    """dropped(error): what the log says of a run that ends with it, and the next Claim, if any."""
    caplog.set_level(logging.WARNING)

    def run(error):
        queue, runs = FakeQueue(), ActiveRuns()
        queue.add('t1')
        [claim] = queue.claim('us', 1, seconds=30, versions={'test': 1})
        runs.begin(claim)
        flows = {'test': gated_flow(Gate(), queue)}
        RunLifecycle(queue, flows, runs, Raises(error), POLICY, outage_pause=0).run(claim)
        assert not len(runs)
        assert queue.best_progress('t1') == Progress()
        [said] = [
            record.getMessage() for record in caplog.records if record.action == 'task_dropped'
        ]
        return said, queue.claim('them', 1, seconds=30, versions={'test': 1})

    return run


@pytest.mark.parametrize('kind', DROPS)
def test_each_kind_of_drop_is_logged_as_a_sentence_of_its_own(dropped, kind):
    said, _claims = dropped(kind())
    assert 't1' in said
    assert said != MESSAGES[Drop] % 't1'
    assert kind.__name__ not in said


def test_a_drop_of_a_plug_in_is_logged_as_the_kind_that_it_derives_from(dropped):
    class Moved(HandBack):
        pass

    said, [claim] = dropped(Moved())
    assert said == (
        'Task t1 was handed back to the queue because the service is stopping; '
        'another run will continue it'
    )
    assert claim.attempts == 0


def test_a_task_that_finds_no_thread_is_not_said_to_be_handed_back_by_a_stop(dropped):
    said, [claim] = dropped(NoFreeThread())
    assert said == (
        'Task t1 was handed back to the queue because no thread is free to run its steps; '
        'another run will continue it'
    )
    assert claim.attempts == 0


def test_an_error_of_the_service_is_logged_and_counts_as_an_attempt(dropped, caplog):
    said, [claim] = dropped(ZeroDivisionError('ours'))
    assert said == (
        'The run of task t1 was stopped by an unexpected error; another run will continue it'
    )
    assert 'ZeroDivisionError: ours' in caplog.text  # with its traceback
    assert claim.attempts == 1


def test_a_lack_of_the_service_is_no_attempt(dropped):
    said, [claim] = dropped(OSError(errno.EMFILE, 'Too many open files'))
    assert said == MESSAGES[Lacking] % 't1'
    assert claim.attempts == 0


class Broken(FakeQueue):
    """Some of its methods raise an error that nobody knows, once each."""

    def __init__(self, *names):
        super().__init__()
        self._broken = set(names)

    def _break(self, name):
        if name in self._broken:
            self._broken.remove(name)
            raise LookupError('of the queue')

    def outcome(self, lease):
        self._break('outcome')
        return super().outcome(lease)

    def end(self, lease, **how):
        self._break('end')
        super().end(lease, **how)

    def release(self, lease, best_progress, **how):
        self._break('release')
        super().release(lease, best_progress, **how)


@pytest.mark.parametrize('names', [('outcome',), ('end',), ('end', 'release')])
def test_an_unknown_error_of_the_queue_is_a_drop_without_an_attempt(names, caplog):
    queue, runs = Broken(*names), ActiveRuns()
    queue.add('t1')
    [claim] = queue.claim('us', 1, seconds=30, versions={'test': 1})
    runs.begin(claim)
    flows = {'test': gated_flow(Gate(), queue)}
    lifecycle = RunLifecycle(queue, flows, runs, Succeeds(queue), POLICY, outage_pause=0)
    lifecycle.run(claim)
    assert 'Traceback' not in caplog.text
    [claim] = queue.claim('them', 1, seconds=30, versions={'test': 1})
    assert (claim.attempts, claim.deaths) == (0, 0)
    runs.begin(claim)
    lifecycle.run(claim)
    assert queue.status_of('t1') == ('success', '')


def test_a_standstill_counts_as_an_attempt(dropped):
    _said, [claim] = dropped(Stalled())
    assert claim.attempts == 1


def test_a_lost_lease_is_not_given_back(dropped):
    _said, claims = dropped(LostLease('t1.1'))
    assert claims == []


class Succeeds(FlowRunner):
    """Keeps the work of each run. It could resume one whose logbook was not removed."""

    def __init__(self, queue):
        self.queue = queue
        self.works = []
        self.removed = []

    def run_flow(self, flow, claim):
        self.works.append(claim.work)
        self.queue.finish(claim.lease, {})
        return RunResult.SUCCEEDED

    def can_resume(self, flow, claim):
        return not self.removed

    def remove_logbook(self, lease):
        self.removed.append(lease.number)


class Upgrading:
    """A task that was posted with version 1 of its type, and version 2 to run it."""

    def __init__(self, upgrade, work):
        self.queue = FakeQueue()
        self.queue.add('t1', version=1, work=work)
        self.runner = Succeeds(self.queue)
        self.gate = Gate()
        self.discarded = []  # the work with which the task was discarded
        self.upgraded = []  # the versions that upgrade() was called with

        def noted(work, version):
            self.upgraded.append(version)
            return upgrade(work, version)

        def discard(lease, work):
            self.discarded.append(work)
            self.gate.meet(lease.task_id, 'discard')

        self._flow = dataclasses.replace(
            gated_flow(self.gate, self.queue), version=2, upgrade=noted, discard=discard
        )

    def claim(self):
        [claim] = self.queue.claim('us', 1, seconds=600, versions={'test': 2})
        return claim

    def leave(self, *, times=1):
        """Let earlier claims begin the task and die."""
        for _ in range(times):
            self.queue.release(self.claim().lease, Progress(), stalled=True)

    def run(self):
        """Claim the task and run it. Returns what the queue says of it."""
        runs, claim = ActiveRuns(), self.claim()
        runs.begin(claim)
        flows = {'test': self._flow}
        RunLifecycle(self.queue, flows, runs, self.runner, POLICY, outage_pause=0).run(claim)
        return self.queue.status_of('t1')

    @property
    def has_ended(self):
        return self.queue.open() == []


@pytest.fixture
def upgrading():
    """upgrading(upgrade, work={'old': [1]}): an Upgrading."""

    def make(upgrade, work=None):
        return Upgrading(upgrade, work or {'old': [1]})

    return make


OUTDATED = (
    'The task was posted with version 1 of the task type "test", and version 2 cannot run it; '
    'the log of the service says more.'
)
USELESS = [
    lambda work, version: 1 / 0,
    lambda work, version: exit(3),
    lambda work, version: work['new'],
    lambda work, version: work['old'].append(work) or work,
    lambda work, version: None,
    lambda work, version: [],
    lambda work, version: {'new': object()},
    lambda work, version: {'new': float('nan')},
    lambda work, version: {'lease': 1},
]


def renamed(work, version):
    return {'new': work['old'], 'was': version}


def test_a_task_that_never_began_is_run_with_upgraded_work(upgrading):
    task = upgrading(renamed)
    assert task.run() == ('success', '')
    assert task.runner.works == [{'new': [1], 'was': 1}]
    assert task.discarded == []
    assert task.has_ended


def test_a_task_that_an_older_version_began_is_discarded_and_begins_again(upgrading):
    task = upgrading(renamed)
    task.leave()
    assert task.run() == ('success', '')
    assert task.runner.works == [{'new': [1], 'was': 1}]
    assert task.discarded == [{'new': [1], 'was': 1}]
    assert task.runner.removed[0] == 2  # before anything is removed that it names
    assert task.has_ended


def test_work_is_upgraded_once(upgrading):
    task = upgrading(renamed)
    task.gate.break_in('t1', 'discard', leases.Stalled())
    task.leave()
    assert task.run()[0] == 'processing'  # it has died while it was discarded
    task.gate.breaks.clear()
    assert task.run() == ('success', '')
    assert task.upgraded == [1]
    assert task.runner.works == [{'new': [1], 'was': 1}]


def test_without_an_upgrade_the_work_stays_as_it_was(upgrading):
    task = upgrading(lambda work, version: work)
    assert task.run() == ('success', '')
    assert task.runner.works == [{'old': [1]}]


@pytest.mark.parametrize('upgrade', USELESS)
def test_a_task_that_never_began_fails_if_it_cannot_be_upgraded(upgrading, caplog, upgrade):
    task = upgrading(upgrade)
    assert task.run() == ('failure', OUTDATED)
    assert task.runner.works == task.discarded == []
    assert task.has_ended
    said = 'Task t1: the task type "test" cannot bring its work of version 1 up to date'
    assert said in caplog.text


@pytest.mark.parametrize('upgrade', USELESS)
@pytest.mark.parametrize('times', [1, POLICY.max_attempts, POLICY.max_attempts + 1])
def test_a_begun_task_is_discarded_with_its_work_if_it_cannot_be_upgraded(
    upgrading, upgrade, times
):
    task = upgrading(upgrade)
    task.leave(times=times)
    assert task.run() == ('failure', OUTDATED)
    assert task.runner.works == []
    assert task.discarded == [{'old': [1]}]
    assert task.has_ended


def test_a_failure_to_upgrade_stands_if_the_process_dies_while_it_discards(upgrading):
    task = upgrading(lambda work, version: 1 / 0)
    task.gate.break_in('t1', 'discard', leases.Stalled())
    task.leave()
    assert task.run()[0] == 'processing'
    task.gate.breaks.clear()
    assert task.run() == ('failure', OUTDATED)
    assert task.discarded == [{'old': [1]}] * 2
    assert task.has_ended


def test_a_task_without_an_attempt_left_is_discarded_with_upgraded_work(upgrading):
    task = upgrading(renamed)
    task.leave(times=POLICY.max_attempts + 1)
    status, message = task.run()
    assert (status, task.runner.works) == ('failure', [])
    assert message != OUTDATED
    assert task.discarded == [{'new': [1], 'was': 1}]
    assert task.has_ended


def test_a_task_that_was_to_be_cancelled_is_not_run_with_upgraded_work(upgrading):
    task = upgrading(renamed)
    task.leave()
    task.queue.cancel('t1')
    status, _message = task.run()
    assert (status, task.runner.works) == ('failure', [])
    assert task.discarded == [{'new': [1], 'was': 1}]
    assert task.has_ended
