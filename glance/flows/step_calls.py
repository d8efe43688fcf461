"""How a step is called, by an engine's atom or by a plain walk through the steps."""

import collections.abc
import functools
import inspect
import logging
import typing

from glance import toolbox
from glance.domain import errors, own_lack
from glance.domain.entry import Outcome
from glance.domain.events import Kind
from glance.domain.lease import Drop, Ended, Hung, Lacking, Lease
from glance.domain.leftover import Leftover
from glance.image_data import files
from glance.interfaces.flow import Step

LOG = logging.getLogger(__name__)

UNDO_TRIES = 3  # attempts to undo a step before its leftovers are recorded

Values = collections.abc.Mapping[str, typing.Any]


class StepBroke(errors.TaskFailed):
    """A step failed with an error that a user cannot understand; the log has the details."""

    code = 'step_broke'

    def __init__(self, step: Step) -> None:
        super().__init__(
            f'Step "{step.name}" failed because of an internal error; '
            'the log of the service says more.'
        )


@functools.cache
def needs(function: collections.abc.Callable[..., typing.Any]) -> tuple[str, ...]:
    """The names of the values that a do() or undo() of a step takes."""
    return tuple(
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if name != 'self' and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    )


@functools.cache
def _optional(function: collections.abc.Callable[..., typing.Any]) -> frozenset[str]:
    """The names in needs() that have a default, so that they may be missing."""
    parameters = inspect.signature(function).parameters.values()
    return frozenset(one.name for one in parameters if one.default is not one.empty)


def do(step: Step, values: Values) -> typing.Any:
    """Do a step. If it fails, record the failure in the queue before raising the error.

    values  the values by name: the work, 'lease', and what earlier steps returned

    Raises only Exceptions and Drops, so that an exit or a timeout inside a step
    does not leave an engine running.
    """
    tools = toolbox.current()
    lease: Lease = values['lease']
    begun = False
    try:
        tools.runs.raise_if_stopped(lease)
        LOG.debug('Task %s: step %s begins', lease.task_id, step.name)
        begun = True
        tools.runs.begun(lease, step.name)
        lease.events.tell(Kind.STEP_BEGUN, step.name)
        if step.commits:
            lease.events.committing = step.name
        with tools.runs.at_work(lease):
            _require_values(type(step).do, values)
            given = step.do(**_arguments(type(step).do, values))
        if not step.commits:  # the commit itself has told it
            lease.events.tell(Kind.STEP_DONE, step.name, **tools.runs.moved(lease))
        tools.runs.done(lease)
    except Drop:  # the end of the run logs the reason
        LOG.debug('Task %s: step %s was stopped', lease.task_id, step.name)
        if begun:
            lease.events.tell(Kind.STEP_STOPPED, step.name, **tools.runs.moved(lease))
        raise
    except BaseException as error:
        if own_lack.is_one(error):
            if begun:
                lease.events.tell(Kind.STEP_STOPPED, step.name, **tools.runs.moved(lease))
            raise Lacking(own_lack.sentence(error)) from error
        failed = _explained(step, error, lease)
        outcome, _message = tools.queue.fail(
            lease,
            str(failed),
            step=step.name if begun else None,
            moved=tools.runs.moved(lease) if begun else {},
        )
        if outcome == Outcome.SUCCESS:
            raise Ended from error  # the commit succeeded, and only its answer was lost
        LOG.debug('Task %s: step %s failed', lease.task_id, step.name)
        if failed is error:
            raise
        raise failed from error
    LOG.debug('Task %s: step %s done', lease.task_id, step.name)
    return given


def undo(step: Step, values: Values) -> None:
    """Undo a step. Raises only Drops, so that the earlier steps are undone in any case."""
    lease: Lease = values['lease']
    LOG.debug('Task %s: step %s is being undone', lease.task_id, step.name)
    removed = remove(
        lease,
        f'step {step.name} could not be undone',
        lambda: step.undo(**_arguments(type(step).undo, values)),
        lambda: step.leftovers(**_arguments(type(step).leftovers, values)),
    )
    events = lease.events
    if not removed:
        events.tell(Kind.STEP_LEFT, step.name)
    elif not events.discarding and (step.name in events.begun or lease.number > 1):
        events.tell(Kind.STEP_UNDONE, step.name)


def remove(
    lease: Lease,
    trouble: str,
    take_away: collections.abc.Callable[[], None],
    leftovers: collections.abc.Callable[[], collections.abc.Iterable[Leftover]],
) -> bool:
    """Remove something that a task made. If that fails, record it for the sweeper.

    trouble    what the log says if it fails
    take_away  take_away() removes it; idempotent
    leftovers  leftovers() returns what is left if it fails

    Returns whether it is removed. Raises only Drops.
    """
    for remaining in reversed(range(UNDO_TRIES)):
        try:
            with toolbox.current().runs.at_work(lease, undoing=True):
                take_away()
            return True
        except Exception as error:
            if remaining and not isinstance(error, Hung):
                continue
            LOG.exception('Task %s: %s', lease.task_id, trouble, extra={'action': 'undo_failed'})
            break
    _record(lease, leftovers)
    return False


def _record(
    lease: Lease, leftovers: collections.abc.Callable[[], collections.abc.Iterable[Leftover]]
) -> None:
    try:
        found = list(leftovers())
        if found:
            toolbox.current().queue.record_leftovers(lease, found)
    except Exception:
        LOG.exception(
            'Task %s: its leftovers could not be recorded for the sweeper',
            lease.task_id,
            extra={'action': 'leave_failed'},
        )


def _require_values(function: collections.abc.Callable[..., typing.Any], values: Values) -> None:
    """Raises LookupError if a value that a function takes without a default does not exist."""
    for name in needs(function):
        if name not in values and name not in _optional(function):
            raise LookupError(f'Neither the work nor an earlier step has the value "{name}".')


def _arguments(
    function: collections.abc.Callable[..., typing.Any], values: Values
) -> dict[str, typing.Any]:
    """The values that a function takes; its default, or None, for those that do not exist."""
    return {
        name: values.get(name)
        for name in needs(function)
        if name in values or name not in _optional(function)
    }


def _explained(step: Step, error: BaseException, lease: Lease) -> errors.GlanceError:
    """The error whose text becomes the message of the task."""
    cause: BaseException | None = error.__cause__
    if isinstance(error, OSError):
        cause, error = error, files.explained(error, 'the staging area or the store')
    if isinstance(error, errors.StorageUnusable):
        LOG.error(
            'Task %s: step %s failed: %s',
            lease.task_id,
            step.name,
            cause or error,
            extra={'action': 'storage_unusable'},
        )
    if isinstance(error, errors.GlanceError):
        return error
    LOG.error(
        'Task %s: step %s of %s failed unexpectedly',
        lease.task_id,
        step.name,
        type(step).__module__,
        exc_info=error,
        extra={'action': 'step_broke'},
    )
    return StepBroke(step)
