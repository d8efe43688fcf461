"""What a worker does with the results of earlier steps."""

import collections.abc
import typing

from glance.interfaces.flow import Flow, Group, Step

Results = collections.abc.Mapping[str, typing.Any]  # by the name of the step


def remote_step(flow: Flow | None, name: str) -> Step | None:
    """The step of this name, if workers do it."""
    steps = flow.all_steps() if flow is not None else []
    return next((step for step in steps if step.name == name and step.moves_bytes), None)


def is_next(flow: Flow, step: Step, finished: collections.abc.Container[str]) -> bool:
    """Whether all that has to be finished before this step is finished."""
    for item in flow.steps:
        together = item if isinstance(item, Group) else (item,)
        if step in together:
            break
        if not all(earlier.name in finished for earlier in together):
            return False
    return True


def provided(flow: Flow, results: Results) -> dict[str, typing.Any]:
    """The values that finished steps have provided."""
    return {
        step.provides: results[step.name]
        for step in flow.all_steps()
        if step.provides and step.name in results
    }


def unusable(flow: Flow, results: Results) -> list[str]:
    """The finished steps whose results cannot be used here, and those after them."""
    usable = flow.resumable_steps(results)
    return [name for name in results if name not in usable]
