"""The legacy executor: each task walks its steps in one green thread."""

import logging

from glance import threads
from glance.domain import errors
from glance.domain.lease import Drop
from glance.engine.conductor import Passage
from glance.flows import calls

from . import _common

LOG = logging.getLogger(__name__)


class TaskExecutor(_common.ConductedExecutor):
    """Runs up to eventlet_executor_pool_size tasks, a green thread each."""

    def __init__(self, conf, queue, flows, owner, logbook=None):
        if not threads.is_green():
            raise errors.ConfigError(
                '[task] task_executor = eventlet needs green threads, but this process uses '
                'native ones; choose taskflow, or start it with GLANCE_THREADS=green.'
            )
        super().__init__(conf, queue, flows, owner)

    def slots(self, conf):
        return conf.task.eventlet_executor_pool_size

    def run_flow(self, flow, claim):
        return walk(flow.each(), claim.values)


def walk(steps, values):
    """Do the steps in order; when one fails, undo what was begun, backwards.

    values  by name: the work and 'lease'; what steps give is added
    """
    begun = []
    try:
        for step in steps:
            begun.append(step)
            given = calls.do(step, values)
            if step.gives:
                values[step.gives] = given
    except Drop:
        raise
    except Exception:  # noted and logged where it was raised
        for step in reversed(begun):
            calls.undo(step, values)
        return Passage.UNDONE
    return Passage.DONE
