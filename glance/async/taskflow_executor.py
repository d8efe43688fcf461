"""The taskflow executor: each task is a linear flow on an engine of its own.

Engines run in a pool of max_tasks; their steps (parallel mode) in the one pool
of max_workers that all engines of the process share. Never in the same: engines
inside the pool that serves their atoms wait for each other for ever.
"""

from glance import threads
from glance.engine.run import FlowRunner

from . import _common


class TaskExecutor(_common.ConductedExecutor):
    """Runs up to max_tasks tasks, of whose steps up to max_workers at a time."""

    def __init__(self, conf, queue, flows, owner, logbook=None):
        super().__init__(conf, queue, flows, owner)
        options = conf.taskflow_executor
        parallel = options.engine_mode == 'parallel'
        self._pool = threads.pool(options.max_workers) if parallel else None
        self._runner = FlowRunner(self.runs, self._pool, logbook)

    def slots(self, conf):
        options = conf.taskflow_executor
        if options.engine_mode == 'serial':
            return min(options.max_tasks, options.max_workers)
        return options.max_tasks

    def workers(self, conf):
        options = conf.taskflow_executor
        return options.max_workers if options.engine_mode == 'parallel' else None

    def recall(self, flow, claim):
        return self._runner.recall(flow, claim)

    def run_flow(self, flow, claim):
        return self._runner.run(flow, claim)

    def forget(self, lease):
        self._runner.forget(lease)

    def stop(self, grace):
        super().stop(grace)
        if self._pool is not None and not len(self.runs):
            self._pool.shutdown(wait=False)  # nothing is in it
