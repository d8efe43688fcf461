"""The steps of a task as its events tell them."""

import dataclasses
import datetime

from glance.domain import steps
from glance.domain.events import Event, Kind, PendingEvents, place_of
from glance.domain.lease import Progress
from glance.domain.steps import RunReport, StepReport, StepState

NOON = datetime.datetime(2026, 1, 31, 12, 0, tzinfo=datetime.UTC)


def story(*events):
    """(kind, step, attempt, detail...) as events, a second after one another."""
    return [
        Event(
            kind,
            step,
            dict(more[0]) if more else {},
            at=NOON + datetime.timedelta(seconds=number),
            attempt=attempt,
        )
        for number, (kind, step, attempt, *more) in enumerate(events)
    ]


def states(*events, live=()):
    return {step.name: (step.state, step.attempt) for step in steps.so_far(story(*events), live)}


def test_a_step_has_the_times_and_bytes_of_its_events():
    [step] = steps.so_far(
        story(
            (Kind.STEP_BEGUN, 'fetch', 1),
            (Kind.STEP_DONE, 'fetch', 1, {'bytes_done': 5, 'bytes_total': 5, 'rate': 2}),
        )
    )
    assert step == StepReport(
        'fetch',
        StepState.DONE,
        started_at=NOON,
        ended_at=NOON + datetime.timedelta(seconds=1),
        attempt=1,
        bytes_done=5,
        bytes_total=5,
        rate=2,
    )


def test_a_death_stops_what_was_at_work_and_keeps_what_was_done():
    assert states(
        (Kind.STEP_DONE, 'create', 1), (Kind.STEP_BEGUN, 'fetch', 1), (Kind.EXPIRED, None, 1)
    ) == {'create': (StepState.DONE, 1), 'fetch': (StepState.STOPPED, 1)}


def test_a_death_tells_of_a_step_whose_begin_was_lost():
    known = states((Kind.EXPIRED, 'fetch', 1, {'bytes_done': 7}))
    assert known == {'fetch': (StepState.STOPPED, 1)}


def test_a_later_attempt_takes_the_place_of_an_earlier_one():
    [step] = steps.so_far(
        story(
            (Kind.STEP_BEGUN, 'fetch', 1),
            (Kind.STEP_STOPPED, 'fetch', 1, {'bytes_done': 7}),
            (Kind.STEP_BEGUN, 'fetch', 2),
        )
    )
    assert (step.state, step.attempt) == (StepState.RUNNING, 2)
    assert (step.bytes_done, step.ended_at) == (None, None)


def test_a_discard_undoes_all_of_earlier_claims():
    assert states(
        (Kind.STEP_DONE, 'create', 1),
        (Kind.EXPIRED, None, 1),
        (Kind.DISCARDED, None, 2),
        (Kind.STEP_BEGUN, 'fetch', 2),
    ) == {'create': (StepState.UNDONE, 1), 'fetch': (StepState.RUNNING, 2)}


def test_an_undo_by_a_later_claim_is_that_of_the_step():
    assert states(
        (Kind.STEP_DONE, 'create', 1), (Kind.EXPIRED, None, 1), (Kind.STEP_UNDONE, 'create', 2)
    ) == {'create': (StepState.UNDONE, 2)}


def test_the_step_that_failed_can_be_told_from_those_that_were_undone():
    told = [
        (Kind.STEP_DONE, 'create', 1),
        (Kind.STEP_FAILED, 'fetch', 1),
        (Kind.STEP_UNDONE, 'fetch', 1),
        (Kind.STEP_UNDONE, 'create', 1),
    ]
    for more in ([], [(Kind.DISCARDED, None, 2)]):
        assert states(*told, *more) == {
            'create': (StepState.UNDONE, 1),
            'fetch': (StepState.FAILED, 1),
        }


def test_what_is_at_work_is_known_before_its_event():
    live = StepReport('fetch', StepState.RUNNING, NOON, attempt=2, bytes_done=9)
    assert states((Kind.STEP_DONE, 'create', 1), live=[live]) == {
        'create': (StepState.DONE, 1),
        'fetch': (StepState.RUNNING, 2),
    }


def test_an_event_is_newer_than_what_was_at_work():
    live = StepReport('fetch', StepState.RUNNING, NOON, attempt=2, bytes_done=9)
    assert states((Kind.STEP_FAILED, 'fetch', 2), live=[live]) == {'fetch': (StepState.FAILED, 2)}


def test_a_report_reads_as_it_was_written():
    live = StepReport('fetch', StepState.RUNNING, NOON, attempt=2, bytes_done=9, bytes_total=10)
    assert steps.at_work(RunReport(Progress(), 5, (live,)).steps) == [live]
    assert steps.at_work(None) == []


def test_an_unknown_event_of_a_newer_release_is_passed_over():
    assert states(('task.painted', None, 1), ('step.done', 'fetch', 1)) == {
        'fetch': (StepState.DONE, 1)
    }


def test_events_that_could_not_be_written_come_first_the_next_time():
    pending = PendingEvents('host/folder/boot/12-ab')
    pending.tell(Kind.STEP_DONE, 'one')
    pending.tell(Kind.STEP_DONE, 'two')
    taken = pending.take()
    pending.tell(Kind.STEP_DONE, 'three')
    pending.put_back(taken)
    own = dataclasses.replace(taken[0], step='own')
    assert [event.step for event in pending.take(own)] == ['one', 'two', 'three', 'own']
    assert pending.doubtful
    assert pending.take() == []


def test_the_place_of_a_holder():
    assert place_of('host/folder/boot/12-ab') == ('host', '12-ab')
    assert place_of('a') == (None, 'a')
    assert place_of(None) == (None, None)
