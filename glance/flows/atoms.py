"""Steps as TaskFlow's atoms, and a flow of ours as one of its patterns."""

import collections.abc
import typing

from taskflow import task
from taskflow.patterns import linear_flow, unordered_flow
from taskflow.types import failure, sets

from glance.flows import step_calls
from glance.interfaces.flow import Flow, Group, Step


class StepAtom(task.Task):  # type: ignore[misc]
    """A step as TaskFlow runs it. TaskFlow resumes a run by the names of its steps.

    All engines of a process share the atom, so it keeps nothing but the step.
    Nobody may listen to it: a listener would get the events of every engine.
    Steps report their progress to RunControl instead.
    """

    TASK_EVENTS = ()

    def update_progress(self, progress: float) -> None:
        """Do nothing: there are no listeners."""

    def __init__(self, step: Step) -> None:
        super().__init__(
            name=step.name, provides=step.provides, requires={'lease'}, auto_extract=False
        )
        # TaskFlow passes on the values that exist. step_calls knows what to do without one.
        self.optional = _bound(self.rebind, type(step).do)
        self.revert_optional = _bound(self.revert_rebind, type(step).undo, but=step.provides)
        self.step = step

    def execute(self, **values: typing.Any) -> typing.Any:
        return step_calls.do(self.step, values)

    def revert(
        self, result: typing.Any, flow_failures: dict[str, typing.Any], **values: typing.Any
    ) -> None:
        if self.step.provides and not isinstance(result, failure.Failure):
            values[self.step.provides] = result
        step_calls.undo(self.step, values)


def _bound(
    bindings: dict[str, str],
    function: collections.abc.Callable[..., typing.Any],
    *,
    but: str | None = None,
) -> sets.OrderedSet:
    """Bind the values that a method of a step takes to their own names; returns the names.

    but  a value that the atom gets in another way
    """
    names = sets.OrderedSet(
        name for name in step_calls.needs(function) if name not in ('lease', but)
    )
    bindings |= {name: name for name in names}
    return names


def linear(flow: Flow) -> linear_flow.Flow:
    """The steps of a flow one after another; those of a group in any order."""
    pattern = linear_flow.Flow(flow.type)
    for number, item in enumerate(flow.steps):
        if isinstance(item, Group):
            together = unordered_flow.Flow(f'{flow.type}-{number}')
            together.add(*(StepAtom(step) for step in item))
            pattern.add(together)
        else:
            pattern.add(StepAtom(item))
    return pattern
