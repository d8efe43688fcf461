"""How a step is called, whoever calls it: an engine's atom or a plain walk."""

import functools
import inspect
import logging

from glance import toolbox
from glance.domain import errors
from glance.domain.entry import Outcome
from glance.domain.lease import Drop, Ended
from glance.image_data import files

LOG = logging.getLogger(__name__)

UNDO_TRIES = 3


class StepBroke(errors.ImportFailed):
    """A step ended in a way that says nothing to a user; the log has the rest."""

    code = 'step_broke'

    def __init__(self, step, error):
        super().__init__(
            f'Step "{step.name}" failed because of an internal error '
            f'({type(error).__name__}); the log of the service says more.'
        )


@functools.cache
def needs(function):
    """The names of the values that a step's do or undo takes."""
    return tuple(
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if name != 'self' and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    )


def do(step, values):
    """Do a step; before an error of it is raised, the failure is noted in the queue.

    values  by name: the work, 'lease', and what earlier steps gave

    Only Exceptions and Drops leave this function, so that no engine is left
    running by an exit or a timeout.
    """
    tools = toolbox.current()
    lease = values['lease']
    try:
        tools.runs.check(lease)
        LOG.debug('Task %s: step %s begins', lease.task_id, step.name)
        given = step.do(**{name: values[name] for name in needs(type(step).do)})
        tools.runs.done(lease)
    except Drop as drop:
        LOG.debug('Task %s: step %s dropped (%s)', lease.task_id, step.name, type(drop).__name__)
        raise
    except BaseException as error:
        failed = _explained(step, error, lease)
        outcome, _message = tools.queue.fail(lease, str(failed))
        if outcome == Outcome.SUCCESS:
            raise Ended from error  # the commit was made, only its answer got lost
        LOG.debug('Task %s: step %s failed', lease.task_id, step.name)
        if failed is error:
            raise
        raise failed from error
    LOG.debug('Task %s: step %s done', lease.task_id, step.name)
    return given


def undo(step, values):
    """Undo a step. Raises only Drops: one step's trouble must not keep others from theirs."""
    lease = values['lease']
    LOG.debug('Task %s: step %s is being undone', lease.task_id, step.name)
    arguments = {name: values.get(name) for name in needs(type(step).undo)}
    for remaining in reversed(range(UNDO_TRIES)):
        try:
            step.undo(**arguments)
        except Exception:
            if remaining:
                continue
            LOG.exception(
                'Task %s: step %s could not be undone',
                lease.task_id,
                step.name,
                extra={'action': 'undo_failed'},
            )
        break


def _explained(step, error, lease):
    """The error whose sentence becomes the task's message."""
    if isinstance(error, errors.GlanceError):
        return error
    if isinstance(error, OSError) and files.is_full(error):
        return errors.StorageFull('the staging folder or the store')
    LOG.error(
        'Task %s: step %s failed unexpectedly',
        lease.task_id,
        step.name,
        exc_info=error,
        extra={'action': 'step_broke'},
    )
    return StepBroke(step, error)
