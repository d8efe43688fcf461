"""The JSON forms of what happened to a task, and of its steps."""

import typing

from glance.api.views.times import precise
from glance.domain.events import Event
from glance.domain.steps import StepReport

# The fields of an event or a step that are left out if they have no value.
_OF_EVENT = ('step', 'attempt', 'host', 'process')
_OF_STEP = ('attempt', 'bytes_done', 'bytes_total', 'rate')


def as_json(event: Event) -> dict[str, typing.Any]:
    """An event of a timeline."""
    known = {name: getattr(event, name) for name in _OF_EVENT}
    return {
        'seq': event.seq,
        'at': precise(event.at),
        'event': event.kind,
        **{name: value for name, value in known.items() if value is not None},
        'detail': dict(event.detail),
    }


def step_as_json(step: StepReport) -> dict[str, typing.Any]:
    """A step of a task."""
    times = {'started_at': step.started_at, 'ended_at': step.ended_at}
    known = {name: getattr(step, name) for name in _OF_STEP}
    return {
        'name': step.name,
        'state': step.state,
        **{name: precise(time) for name, time in times.items() if time is not None},
        **{name: value for name, value in known.items() if value is not None},
    }
