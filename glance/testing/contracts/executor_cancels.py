"""What every TaskExecutor promises about tasks that are cancelled."""

import collections.abc
import typing

import pytest

from glance.domain import errors
from glance.domain.lease import Drop, Progress
from glance.domain.task import Status
from glance.testing.contracts.executor_setup import ExecutorSetup

CANCELLED = (Status.FAILURE, str(errors.Cancelled()))
STEPS = ('first', 'second', 'last')
# The calls of a run that succeeds, and of one whose second step fails.
PASSES = {
    Status.SUCCESS: ('claim', *STEPS, 'finish', 'outcome', 'end'),
    Status.FAILURE: (
        *('claim', 'first', 'second', 'fail'),
        *('undo second', 'undo first', 'outcome', 'end'),
    ),
}
# No point: a pending task has a test of its own, and a step that fails does not return.
NEVER = {Status.SUCCESS: ('before-claim',), Status.FAILURE: ('before-claim', 'after-second')}


def point_of(when: str, name: str) -> str:
    """A point in a run, as the id of the task that is cancelled there."""
    return f'{when}-{name}'.replace(' ', '-')  # some logbooks name files after tasks


class CancelContract(ExecutorSetup):
    """A part of ExecutorContract."""

    def _cancel(self, task_id: str) -> bool:
        accepted = self.queue.cancel(task_id)
        self.executor.cancel(task_id)
        return accepted

    def _undone(self, task_id: str) -> set[str]:
        return {step for undone, step in self.gate.undone if undone == task_id}

    def test_a_cancel_is_heard_though_nobody_announced_it(self) -> None:
        self.executor.start()
        self.gate.hold()
        self.queue.add('t1')
        self.gate.await_entered(1)
        assert self.queue.cancel('t1')
        self.gate.release()
        assert self.queue.end_of('t1') == Status.FAILURE
        assert self.queue.status_of('t1') == CANCELLED
        assert ('t1', 'first') in self.gate.undone

    def test_a_pending_task_is_cancelled_without_a_runner(self) -> None:
        self.queue.add('t1')
        assert self._cancel('t1')
        assert self.queue.status_of('t1') == CANCELLED
        assert self.queue.open() == []
        self.executor.start()
        self.queue.add('t2')
        assert self.queue.end_of('t2') == Status.SUCCESS
        assert 't1' not in [task_id for task_id, _step in self.gate.done]

    @pytest.mark.parametrize('step', STEPS)
    def test_a_step_that_waits_for_ever_ends_when_its_task_is_cancelled(self, step: str) -> None:
        self.gate.hang_in('t1', step)
        self.queue.add('t1')
        self.executor.start()
        before = STEPS[: STEPS.index(step)]
        self.gate.await_entered(len(before) + 1)
        self._cancel('t1')
        self.queue.end_of('t1')
        assert self.queue.status_of('t1') == CANCELLED
        assert self._undone('t1') in ({*before, step}, {'discard'})
        if self.interrupts:
            assert self.gate.inside == 0
        self.gate.end_hanging()

    def test_a_step_that_cannot_be_interrupted_keeps_its_place_and_not_its_task(self) -> None:
        self.gate.hang_in('t1', 'second', deaf=True)
        self.queue.add('t1')
        self.executor.start()
        self.gate.await_entered(2)
        self._cancel('t1')
        self.queue.end_of('t1')
        assert self.queue.status_of('t1') == CANCELLED
        assert self._undone('t1') == {'discard'}
        assert self.gate.inside == 1
        self.queue.add('t2')
        assert self.queue.end_of('t2') == Status.SUCCESS
        self.gate.end_hanging()
        self.executor.stop(5)
        assert self.queue.status_of('t1') == CANCELLED

    def test_all_steps_of_a_group_end_when_their_task_is_cancelled(self) -> None:
        self.executor = self._make(group=3)
        for number in range(self.overlapping):
            self.gate.hang_in('t1', f'second-{number}')
        self.queue.add('t1')
        self.executor.start()
        self.gate.await_entered(1 + self.overlapping)
        self._cancel('t1')
        self.queue.end_of('t1')
        assert self.queue.status_of('t1') == CANCELLED
        assert self._undone('t1') & {'first', 'discard'}
        self.gate.end_hanging()

    @pytest.mark.parametrize('dies', [False, True])
    def test_a_cancel_outlives_the_process_that_ran_the_task(self, dies: bool) -> None:
        self.queue.add('t1')
        [claim] = self.queue.claim('another', 1, seconds=30, versions={'test': 1})
        assert self._cancel('t1')
        if dies:
            self.queue.expire(['another'])
        else:
            self.queue.release(claim.lease, Progress())
        self.executor.start()
        self.queue.end_of('t1')
        assert self.queue.status_of('t1') == CANCELLED
        assert self.gate.done == []
        assert self.gate.undone == [('t1', 'discard')]

    @pytest.mark.parametrize('end', PASSES)
    def test_a_cancel_at_any_point_is_obeyed_or_refused(self, end: Status) -> None:
        """The tasks differ in the point at which each of them is cancelled."""
        every = [point_of(when, name) for name in PASSES[end] for when in ('before', 'after')]
        points = [point for point in every if point not in NEVER[end]]
        accepted: dict[str, bool] = {}

        def pass_point(point: str, task_id: str) -> None:
            if point == task_id and task_id not in accepted:
                accepted[task_id] = self._cancel_here(task_id)

        self._call_at_each_pass(pass_point)
        for task_id in points:
            self.queue.add(task_id)
            if end == Status.FAILURE:
                self.gate.break_in(task_id, 'second')
        self.executor.start()
        for task_id in points:
            self.queue.end_of(task_id)
        self.executor.stop(5)  # what comes after the end was passed then, too
        missed = set(points) - accepted.keys()
        assert not missed, missed
        usual = (end, '' if end == Status.SUCCESS else 'It broke on purpose.')
        for task_id in points:
            expected = CANCELLED if accepted[task_id] else usual
            assert (task_id, self.queue.status_of(task_id)) == (task_id, expected)
            done = {step for one, step in self.gate.done if one == task_id}
            if expected[0] == Status.FAILURE:
                assert done <= self._undone(task_id) or 'discard' in self._undone(task_id)
            else:
                assert self._undone(task_id) == set()
        # The commit, and what a failure has recorded, decide whether a cancel comes too late.
        decided = 'finish' if end == Status.SUCCESS else 'fail'
        late = points.index(point_of('after', decided))
        assert [accepted[task_id] for task_id in points[:late]] == [True] * late

    def _cancel_here(self, task_id: str) -> bool:
        """Cancel a task in the thread of its run, which may be interrupted before the answer.

        Then the answer is lost, and a library may have made an error of its own of the
        interrupt. The run hears of its cancel when its step ends, as it does with such a
        library. If the request itself has failed, it is sent again.
        """
        while True:
            try:
                return self._cancel(task_id)
            except (Exception, Drop):
                if self.queue.cancel_of(task_id) is not None:
                    return True

    def _call_at_each_pass(self, pass_point: collections.abc.Callable[[str, str], None]) -> None:
        """Let pass_point(point, task id) be called whenever a run passes one of PASSES."""

        def wrap(place: object, method: str, points_of: typing.Any) -> None:
            function = getattr(place, method)

            def passing(*args: typing.Any, **kwargs: typing.Any) -> typing.Any:
                before = points_of(args, None)
                for name, task_id in before:
                    pass_point(point_of('before', name), task_id)
                value = function(*args, **kwargs)
                for name, task_id in before or points_of(args, value):
                    pass_point(point_of('after', name), task_id)
                return value

            setattr(place, method, passing)

        wrap(
            self.queue,
            'claim',
            lambda _args, claims: [('claim', claim.lease.task_id) for claim in claims or ()],
        )
        for name in ('fail', 'finish', 'outcome', 'end'):
            wrap(self.queue, name, lambda args, _value, name=name: [(name, args[0].task_id)])
        wrap(self.gate, 'pass_through', lambda args, _value: [(args[1], args[0])])
        wrap(self.gate, 'meet', lambda args, _value: [(args[1], args[0])])
