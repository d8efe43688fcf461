"""A task type that kills the process that runs it. This folder is a distribution on PYTHONPATH."""

import os
import signal
import time

from glance.interfaces.flow import Flow, Step
from glance.interfaces.task_type import Plan, TaskType


class Kill(Step):
    """Needs after: seconds until it kills the process."""

    name = 'kill'
    commits = True

    def do(self, after):
        time.sleep(after)
        os.kill(os.getpid(), signal.SIGKILL)


def nothing(*_args):
    """Discard and clean up: the step leaves nothing behind."""


class Poison(TaskType):
    flow = Flow('poison', 1, (Kill(),), discard=nothing, cleanup=nothing)
    input_schema = {
        'type': 'object',
        'required': ['after'],
        'properties': {'after': {'type': 'number'}},
    }

    def plan(self, given, caller, service):
        return Plan({'after': given['after']})
