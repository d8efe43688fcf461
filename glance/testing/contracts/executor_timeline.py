"""What every TaskExecutor tells of its tasks, as a test suite."""

from glance.domain import errors
from glance.domain.events import Event, Kind
from glance.domain.lease import HandBack
from glance.domain.steps import StepState
from glance.testing.contracts.executor_setup import ExecutorSetup

BEGIN = [(Kind.ACCEPTED, None), (Kind.CLAIMED, None)]


def told(events: list[Event], attempt: int | None = None) -> list[tuple[str, str | None]]:
    """What events tell, in order: (kind, step); those of one attempt, or all."""
    return [(one.kind, one.step) for one in events if attempt in (None, one.attempt)]


def whole(*steps: str) -> list[tuple[str, str | None]]:
    """What is told of steps that are done in this order."""
    return [(kind, step) for step in steps for kind in (Kind.STEP_BEGUN, Kind.STEP_DONE)]


class TimelineContract(ExecutorSetup):
    """Mix in with ExecutorContract: all executors tell the same story."""

    def _states(self) -> dict[str, str]:
        return {step.name: step.state for step in self.queue.progress_of('t1')[1]}

    def test_a_task_that_succeeds_tells_of_each_step(self) -> None:
        self.queue.add('t1')
        self.executor.start()
        self.queue.end_of('t1')
        events = self.queue.events_of('t1')
        assert told(events) == [*BEGIN, *whole('first', 'second', 'last'), (Kind.SUCCESS, None)]
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert {event.attempt for event in events[1:]} == {1}
        assert {event.process for event in events[1:]} == {'this-process'}
        assert [event.at for event in events] == sorted(event.at for event in events)
        assert self.queue.progress_of('t1')[0] == 100
        assert set(self._states().values()) == {StepState.DONE}

    def test_a_task_that_fails_tells_why_and_what_was_undone(self) -> None:
        self.gate.break_in('t1', 'second', errors.SourceTooLarge(7))
        self.queue.add('t1')
        self.executor.start()
        self.queue.end_of('t1')
        events = self.queue.events_of('t1')
        assert told(events) == [
            *BEGIN,
            *whole('first'),
            (Kind.STEP_BEGUN, 'second'),
            (Kind.STEP_FAILED, 'second'),
            (Kind.STEP_UNDONE, 'second'),
            (Kind.STEP_UNDONE, 'first'),
            (Kind.FAILURE, None),
        ]
        reasons = [event.detail['message'] for event in events if 'message' in event.detail]
        assert reasons == [str(errors.SourceTooLarge(7))] * 2
        assert 0 < self.queue.progress_of('t1')[0] < 100
        assert self._states() == {'first': StepState.UNDONE, 'second': StepState.FAILED}

    def test_what_cannot_be_undone_is_told(self) -> None:
        self.gate.break_in('t1', 'second')
        self.gate.break_in('t1', 'undo second', OSError('busy'))
        self.queue.add('t1')
        self.executor.start()
        self.queue.end_of('t1')
        assert self._states() == {'first': StepState.UNDONE, 'second': StepState.LEFT}

    def test_a_task_that_is_cancelled_before_it_began_has_no_step(self) -> None:
        self.queue.add('t1')
        self.queue.cancel('t1')
        self.executor.start()
        self.queue.end_of('t1')
        events = self.queue.events_of('t1')
        kinds = [event.kind for event in events]
        assert (kinds[:2], kinds[-1]) == ([Kind.ACCEPTED, Kind.CANCEL_REQUESTED], Kind.FAILURE)
        assert not any(event.step for event in events)
        assert events[-1].detail == {'message': str(errors.Cancelled())}
        assert self._states() == {}

    def test_a_run_that_is_handed_back_says_so_and_the_next_goes_on(self) -> None:
        self.gate.break_in('t1', 'second', HandBack())
        self.queue.add('t1')
        self.executor.start()
        self.gate.await_entered(2)
        self.queue.wait_until(
            lambda: (Kind.HANDED_BACK, None) in told(self.queue.events_of('t1'), 1)
        )
        self.gate.breaks.clear()
        self.queue.end_of('t1')
        events = self.queue.events_of('t1')
        assert told(events, 1) == [
            (Kind.CLAIMED, None),
            *whole('first'),
            (Kind.STEP_BEGUN, 'second'),
            (Kind.STEP_STOPPED, 'second'),
            (Kind.HANDED_BACK, None),
        ]
        last = max(event.attempt or 0 for event in events)
        assert told(events, last)[0] == (Kind.CLAIMED, None)
        assert told(events, last)[1][0] in (Kind.RESUMED, Kind.DISCARDED)
        assert told(events, last)[-5:] == [*whole('second', 'last'), (Kind.SUCCESS, None)]
        assert set(self._states().values()) == {StepState.DONE}

    def test_a_claim_after_a_death_names_the_former_holder(self) -> None:
        self.queue.add('t1')
        assert self.queue.claim('host/folder/boot/1-x', 1, seconds=30, versions={'test': 1})
        self.queue.expire(['host/folder/boot/1-x'])
        self.executor.start()
        self.queue.end_of('t1')
        events = self.queue.events_of('t1')
        assert told(events)[:4] == [*BEGIN, (Kind.EXPIRED, None), (Kind.CLAIMED, None)]
        former = [(event.attempt, event.host, event.process) for event in events[1:4]]
        assert former == [(1, 'host', '1-x'), (1, 'host', '1-x'), (2, None, 'this-process')]
