"""The eventlet executor: each task runs its steps one after another in one green thread."""

import typing

from glance.domain.entry import Claim
from glance.engine.conducted_executor import ConductedExecutor
from glance.flows.walk import walk
from glance.interfaces.executor import RunResult
from glance.interfaces.flow import Flow


class TaskExecutor(ConductedExecutor):
    """Runs up to eventlet_executor_pool_size tasks, each in a green thread of its own."""

    needs_green_threads = True

    def slots(self, conf: typing.Any) -> int:
        size: int = conf.task.eventlet_executor_pool_size
        return size

    def run_flow(self, flow: Flow, claim: Claim) -> RunResult:
        return walk(flow.all_steps(), claim.values)
