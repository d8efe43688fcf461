"""How far a task is: its steps, their bytes, and the percentage of the whole."""

import collections.abc
import dataclasses
import datetime
import enum
import json
import typing

from glance.domain.events import Event, Kind
from glance.domain.lease import Progress


class StepState(enum.StrEnum):
    """Where a step of a task is."""

    RUNNING = 'running'
    DONE = 'done'
    FAILED = 'failed'  # stays so when it is undone
    STOPPED = 'stopped'  # its claim ended amid it; a later claim does it again or continues
    UNDONE = 'undone'
    LEFT = 'left-behind'  # could not be undone; the service tries again later


# What an event makes of the step that it names.
_BECOMES: dict[str, StepState] = {
    Kind.EXPIRED: StepState.STOPPED,
    Kind.STEP_DONE: StepState.DONE,
    Kind.STEP_FAILED: StepState.FAILED,
    Kind.STEP_STOPPED: StepState.STOPPED,
    Kind.STEP_UNDONE: StepState.UNDONE,
    Kind.STEP_LEFT: StepState.LEFT,
}
# What an event of a claim or task makes of all steps that are in such a state.
_ENDS: dict[str, tuple[set[StepState], StepState]] = {
    Kind.EXPIRED: ({StepState.RUNNING}, StepState.STOPPED),
    Kind.HANDED_BACK: ({StepState.RUNNING}, StepState.STOPPED),
    Kind.SUCCESS: ({StepState.RUNNING}, StepState.DONE),
    Kind.FAILURE: ({StepState.RUNNING}, StepState.STOPPED),
    Kind.DISCARDED: ({StepState.RUNNING, StepState.DONE, StepState.STOPPED}, StepState.UNDONE),
}


@dataclasses.dataclass
class StepReport:
    """One step of a task as its user sees it.

    attempt     the number of the claim that did it last
    bytes_done  how many bytes it has moved, with those of earlier claims that it could use
    rate        bytes per second, in this claim
    """

    name: str
    state: StepState
    started_at: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
    attempt: int | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None
    rate: int | None = None


@dataclasses.dataclass(frozen=True)
class RunReport:
    """How far a run is, as its process tells the queue.

    best     how far any run of this task has ever come
    percent  of the whole task, 0 to 99
    at_work  the steps that are at work
    """

    best: Progress = Progress()
    percent: int = 0
    at_work: tuple[StepReport, ...] = ()

    @property
    def steps(self) -> str:
        """The steps at work as JSON text."""
        return json.dumps(
            [
                {
                    'name': step.name,
                    'attempt': step.attempt,
                    'started_at': step.started_at and step.started_at.timestamp(),
                }
                | {name: getattr(step, name) for name in _BYTES}
                for step in self.at_work
            ]
        )


_BYTES = ('bytes_done', 'bytes_total', 'rate')


def at_work(text: str | None) -> list[StepReport]:
    """The steps at work, as RunReport.steps has written them."""
    return [
        StepReport(
            name=one['name'],
            state=StepState.RUNNING,
            started_at=datetime.datetime.fromtimestamp(one['started_at'], datetime.UTC),
            attempt=one['attempt'],
            **{name: one[name] for name in _BYTES},
        )
        for one in json.loads(text or '[]')
    ]


def moved(step: StepReport) -> dict[str, int]:
    """What is known of the bytes of a step, for the detail of an event."""
    found = {name: getattr(step, name) for name in _BYTES}
    return {name: value for name, value in found.items() if value is not None}


def so_far(
    events: collections.abc.Iterable[Event], live: collections.abc.Iterable[StepReport] = ()
) -> list[StepReport]:
    """The steps of a task in the order in which they first began.

    events  of the task, in order
    live    the steps that are at work now, which the events may not know yet
    """
    steps: dict[str, StepReport] = {}
    for event in events:
        if event.step is not None:
            _apply(steps, event)
        before, becomes = _ENDS.get(event.kind, (set(), StepState.STOPPED))
        for step in steps.values():
            if step.state in before:
                step.state, step.ended_at = becomes, event.at
    for step in live:
        known = steps.get(step.name)
        if known is None or known.state is StepState.RUNNING or known.attempt != step.attempt:
            steps[step.name] = step
    return list(steps.values())


def _apply(steps: dict[str, StepReport], event: Event) -> None:
    """Apply an event to the step that it names."""
    assert event.step is not None
    step = steps.get(event.step)
    if event.kind == Kind.STEP_BEGUN or step is None or step.attempt != event.attempt:
        # The begin of a step may have been lost. An undo may be that of an earlier claim.
        fresh = StepReport(event.step, StepState.RUNNING, attempt=event.attempt)
        if event.kind == Kind.STEP_BEGUN:
            fresh.started_at = event.at
        elif step is not None:
            fresh = dataclasses.replace(step, attempt=event.attempt)
        step = steps[event.step] = fresh
    for name in _BYTES:
        value: typing.Any = event.detail.get(name)
        if value is not None:
            setattr(step, name, value)
    if event.kind == Kind.STEP_UNDONE and step.state is StepState.FAILED:
        return  # where it went wrong is worth more than that nothing of it is left
    if event.kind in _BECOMES:
        step.state, step.ended_at = _BECOMES[event.kind], event.at
