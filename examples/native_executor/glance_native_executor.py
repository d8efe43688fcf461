"""A task executor: each task runs in a native thread of its own."""

import typing

from oslo_config import cfg

from glance import threads
from glance.domain import errors
from glance.domain.entry import Claim
from glance.engine.conducted_executor import ConductedExecutor
from glance.flows.walk import walk
from glance.interfaces.executor import RunResult
from glance.interfaces.flow import Flow

GROUP = cfg.OptGroup('native_executor', title='The native executor')
OPTIONS = [
    cfg.IntOpt(
        'max_threads',
        default=4,
        min=1,
        help='Number of tasks that run at the same time in one process.',
    )
]


class NativeExecutor(ConductedExecutor):
    """Runs up to max_threads tasks. It resumes none, so it needs no logbook."""

    options = [(GROUP, OPTIONS)]

    @classmethod
    def check(cls, conf: typing.Any, processes: int | None = None) -> None:
        if threads.is_green():
            raise errors.ConfigError(
                '[task] task_executor = native needs native threads. Run tasks in '
                'glance-conductor, started with GLANCE_THREADS=native, and set [task] '
                'conduct = false for glance-api.'
            )

    @classmethod
    def describe(cls, conf: typing.Any) -> str:
        return f'up to {conf.native_executor.max_threads} native threads'

    def slots(self, conf: typing.Any) -> int:
        size: int = conf.native_executor.max_threads
        return size

    def run_flow(self, flow: Flow, claim: Claim) -> RunResult:
        return walk(flow.all_steps(), claim.values)
