"""How a step is called, whoever calls it: an engine's atom or a plain walk."""

import functools
import inspect
import logging

from glance import toolbox
from glance.domain import errors
from glance.domain.entry import Outcome
from glance.domain.lease import Drop, Ended, Hung
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
        with tools.runs.at_work(lease):
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
    remove(
        lease,
        f'step {step.name} could not be undone',
        lambda: step.undo(**_named(type(step).undo, values)),
        lambda: step.leaves(**_named(type(step).leaves, values)),
    )


def remove(lease, trouble, take_away, leaves):
    """Remove something of a task; record it for the sweeper if that cannot be done.

    trouble    what to say in the log if it cannot
    take_away  take_away(): removes it; idempotent
    leaves     leaves(): the Leftovers if it could not

    Raises only Drops.
    """
    for remaining in reversed(range(UNDO_TRIES)):
        try:
            with toolbox.current().runs.at_work(lease):
                take_away()
            return
        except Exception as error:
            if remaining and not isinstance(error, Hung):
                continue
            LOG.exception('Task %s: %s', lease.task_id, trouble, extra={'action': 'undo_failed'})
            _record(lease, leaves)
            return


def _record(lease, leaves):
    try:
        leftovers = list(leaves())
        if leftovers:
            toolbox.current().queue.leave(lease, leftovers)
    except Exception:
        LOG.exception(
            'Task %s: what is left could not be recorded',
            lease.task_id,
            extra={'action': 'leave_failed'},
        )


def _named(function, values):
    """The values that a function takes, None for those that there are none of."""
    return {name: values.get(name) for name in needs(function)}


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
