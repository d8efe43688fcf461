"""The executor of a process that runs no tasks."""

from glance.engine.active_runs import ActiveRuns
from glance.interfaces.executor import TaskExecutor


class NullExecutor(TaskExecutor):
    """Runs nothing. Other processes find the tasks when they next look at the queue."""

    def __init__(self) -> None:
        self._none = ActiveRuns()

    @property
    def runs(self) -> ActiveRuns:
        return self._none

    def start(self) -> None:
        pass

    def submit(self, task_id: str) -> None:
        pass

    def cancel(self, task_id: str) -> None:
        pass

    def stop(self, grace: float) -> None:
        pass
