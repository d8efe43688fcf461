"""The plain walk through the steps of a flow, for executors without an engine."""

import collections.abc
import typing

from glance.domain.lease import Drop
from glance.flows import step_calls
from glance.interfaces.executor import RunResult
from glance.interfaces.flow import Step


def walk(steps: collections.abc.Iterable[Step], values: dict[str, typing.Any]) -> RunResult:
    """Do the steps in order. If one fails, undo those that were begun, in reverse order.

    values  the values that steps take, by name: the work and 'lease'. What a
            step returns is added
    """
    begun: list[Step] = []
    try:
        for step in steps:
            begun.append(step)
            given = step_calls.do(step, values)
            if step.provides:
                values[step.provides] = given
    except Drop:
        raise
    except Exception:  # step_calls.do() has recorded and logged it
        for step in reversed(begun):
            step_calls.undo(step, values)
        return RunResult.REVERTED
    return RunResult.SUCCEEDED
