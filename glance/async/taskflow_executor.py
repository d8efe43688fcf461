"""The taskflow executor: each task is a linear flow on a TaskFlow engine of its own.

Engines run in a pool of max_tasks threads. In parallel mode, their steps run in
a second pool of max_workers threads that all engines of the process share. One
pool for both would deadlock: engines would wait for steps that find no thread.
"""

import collections.abc
import typing

from glance import threads
from glance.domain import errors
from glance.domain.entry import Claim
from glance.domain.lease import Lease
from glance.engine.conducted_executor import ConductedExecutor
from glance.engine.taskflow_engine import EngineRunner
from glance.interfaces.executor import LogbookKind, RunResult
from glance.interfaces.flow import Flow
from glance.interfaces.queue import TaskQueue


class TaskExecutor(ConductedExecutor):
    """Runs up to max_tasks tasks, and up to max_workers of their steps at a time."""

    @classmethod
    def check(cls, conf: typing.Any, processes: int | None = None) -> None:
        persistence = conf.taskflow_executor.persistence
        processes = conf.workers if processes is None else processes
        if persistence != 'sql' and processes > 1:
            raise errors.ConfigError(
                f'[taskflow_executor] persistence = {persistence} is for one process, but '
                f'[DEFAULT] workers = {processes}: nothing keeps several from writing for the '
                'same task. Choose persistence = sql, or workers = 1.'
            )

    @classmethod
    def logbook_kind(cls, conf: typing.Any) -> LogbookKind | None:
        persistence = conf.taskflow_executor.persistence
        return None if persistence == 'memory' else LogbookKind(persistence)

    @classmethod
    def describe(cls, conf: typing.Any) -> str:
        mode: str = conf.taskflow_executor.engine_mode
        return mode

    def __init__(
        self,
        conf: typing.Any,
        queue: TaskQueue,
        flows: collections.abc.Mapping[str, Flow],
        holder: str,
        logbook: typing.Any = None,
        **settings: typing.Any,
    ) -> None:
        super().__init__(conf, queue, flows, holder, logbook, **settings)
        options = conf.taskflow_executor
        parallel = options.engine_mode == 'parallel'
        self._pool = threads.pool(options.max_workers) if parallel else None
        self._runner = EngineRunner(self.runs, self._pool, logbook)

    def slots(self, conf: typing.Any) -> int:
        options = conf.taskflow_executor
        tasks: int = options.max_tasks
        workers: int = options.max_workers
        return min(tasks, workers) if options.engine_mode == 'serial' else tasks

    def step_threads(self, conf: typing.Any) -> int | None:
        options = conf.taskflow_executor
        return options.max_workers if options.engine_mode == 'parallel' else None

    def can_resume(self, flow: Flow, claim: Claim) -> bool:
        return self._runner.can_resume(flow, claim)

    def run_flow(self, flow: Flow, claim: Claim) -> RunResult:
        return self._runner.run_flow(flow, claim)

    def remove_logbook(self, lease: Lease) -> None:
        self._runner.remove_logbook(lease)

    def stop(self, grace: float) -> None:
        super().stop(grace)
        if self._pool is not None and not len(self.runs):
            self._pool.shutdown(wait=False)  # no step is left in it
