"""What the worker-based mode adds to the taskflow executor."""

import collections.abc
import typing

from glance.domain.entry import Claim
from glance.engine.active_runs import ActiveRuns
from glance.engine.remote_engine import RemoteTaskExecutor
from glance.engine.remote_staging import RemoteStaging
from glance.engine.remote_steps import RemoteSteps
from glance.engine.worker_directory import WorkerDirectory
from glance.interfaces.flow import Flow
from glance.interfaces.queue import TaskQueue
from glance.interfaces.staging import Staging
from glance.messaging import configured
from glance.messaging.link import Link


class Workers:
    """The steps that this process sends to workers, and the link for it.

    options  the section [taskflow_workers]
    """

    def __init__(self, options: typing.Any, queue: TaskQueue, runs: ActiveRuns) -> None:
        self._queue = queue
        self._runs = runs
        self._directory = WorkerDirectory(
            configured.version(), queue.deployment(), options.topics, options.worker_timeout
        )
        self._remote = RemoteSteps(runs, self._directory, options.worker_timeout)
        self._link = Link(
            configured.broker(options), configured.process_name(), self._remote.receive
        )

    def executor_of(self, flow: Flow, claim: Claim, logbook: typing.Any) -> RemoteTaskExecutor:
        """What runs the steps of one run."""
        return RemoteTaskExecutor(self._remote, self._queue, self._runs, flow, claim, logbook)

    def staging(self, here: Staging) -> Staging:
        """The staging area of this process, and those of workers."""
        return RemoteStaging(here, self._remote)

    def see_folders(
        self, look: collections.abc.Callable[[], collections.abc.Mapping[str, str]]
    ) -> None:
        """Use a worker for a store only if it has the folder that this process sees."""
        self._directory.look_at_folders = look

    def room(self) -> float:
        """How many more tasks this process may claim."""
        return self._remote.room()

    def lacks(self) -> list[str]:
        """What steps wait for that no worker has: a sentence each."""
        return self._remote.missing()

    def start(self) -> None:
        self._directory.note_folders()  # before the first worker is chosen
        self._remote.start(self._link)
        self._link.start()

    def stop(self) -> None:
        self._remote.stop()
        self._link.stop()
