"""The taskflow executor: each task is a linear flow on a TaskFlow engine of its own.

Engines run in a pool of max_tasks threads. In parallel mode, their steps run in
a second pool of as many, which all engines of the process share. One pool for both
would deadlock: engines would wait for steps that find no thread.
"""

import collections.abc
import typing

from glance import threads
from glance.domain import errors
from glance.domain.entry import Claim
from glance.domain.lease import Lease
from glance.engine import active_runs
from glance.engine.conducted_executor import ConductedExecutor
from glance.engine.taskflow_engine import EngineRunner
from glance.interfaces.executor import LogbookKind, RunResult
from glance.interfaces.flow import Flow
from glance.interfaces.queue import TaskQueue
from glance.interfaces.staging import Staging
from glance.messaging import configured


class TaskExecutor(ConductedExecutor):
    """Runs up to max_tasks tasks, and begins no step while max_workers of them are at work."""

    @classmethod
    def check(cls, conf: typing.Any, processes: int | None = None) -> None:
        persistence = conf.taskflow_executor.persistence
        if conf.taskflow_executor.engine_mode == configured.WORKER_BASED:
            if persistence != 'sql':
                raise errors.ConfigError(
                    f'[taskflow_executor] persistence = {persistence} does not fit engine_mode = '
                    'worker-based: workers read and write the results of steps in the database. '
                    'Choose persistence = sql.'
                )
            configured.broker(conf.taskflow_workers).verify()
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
        size = self.step_threads(conf)
        self._pool = None if size is None else threads.pool(size)
        self._workers = executor_of = None
        if conf.taskflow_executor.engine_mode == configured.WORKER_BASED:
            from ._workers import Workers  # imports kombu, which other modes do not need

            self._workers = Workers(conf.taskflow_workers, queue, self.runs)
            executor_of = self._workers.executor_of
        self._runner = EngineRunner(self.runs, self._pool, logbook, executor_of)

    def slots(self, conf: typing.Any) -> int:
        return active_runs.most_at_a_time(conf.taskflow_executor.max_tasks)

    def max_workers(self, conf: typing.Any) -> int | None:
        workers: int = conf.taskflow_executor.max_workers
        return workers

    def step_threads(self, conf: typing.Any) -> int | None:
        options = conf.taskflow_executor
        workers: int = options.max_workers
        return max(self.slots(conf), workers) if options.engine_mode == 'parallel' else None

    def room(self) -> float:
        return super().room() if self._workers is None else self._workers.room()

    def can_resume(self, flow: Flow, claim: Claim) -> bool:
        return self._runner.can_resume(flow, claim)

    def run_flow(self, flow: Flow, claim: Claim) -> RunResult:
        return self._runner.run_flow(flow, claim)

    def remove_logbook(self, lease: Lease) -> None:
        self._runner.remove_logbook(lease)

    def staging(self, here: Staging) -> Staging:
        return here if self._workers is None else self._workers.staging(here)

    def see_folders(
        self, look: collections.abc.Callable[[], collections.abc.Mapping[str, str]]
    ) -> None:
        if self._workers is not None:
            self._workers.see_folders(look)

    def lacks(self) -> list[str]:
        return [] if self._workers is None else self._workers.lacks()

    def start(self) -> None:
        if self._workers is not None:
            self._workers.start()
        super().start()

    def stop(self, grace: float) -> None:
        super().stop(grace)
        if self._workers is not None:
            self._workers.stop()
        if self._pool is not None and not len(self.runs):
            self._pool.shutdown(wait=False)  # no step is left in it
