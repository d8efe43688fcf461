"""What runs accepted tasks, and how steps talk to it."""

import abc
import collections.abc
import contextlib
import enum
import math
import typing

from glance.domain.entry import Claim
from glance.domain.lease import Lease
from glance.interfaces.flow import Flow
from glance.interfaces.staging import Staging


class LogbookKind(enum.Enum):
    """Where the finished steps of running tasks are saved."""

    SQL = 'sql'  # in the database of the service
    DIR = 'dir'  # in files in state_path/logbooks, for one process


class TaskExecutor(abc.ABC):
    """Runs accepted tasks. It decides where and when they run, never what they do.

    The waiting tasks are in the queue; submit() and cancel() only shorten the
    wait until the next look at it. Every executor passes
    glance.testing.contracts.executor.ExecutorContract. It is found by its name in the
    glance.task_executors entry points and built as

        TaskExecutor(conf, queue, flows, holder, logbook)

    conf     the configuration, oslo.config's ConfigOpts
    queue    a TaskQueue
    flows    the Flow of each task type
    holder   the name under which this process holds leases
    logbook  logbook(claim, flow) returns the logbook of a run: a Backend, as
             TaskFlow's engines take one, with load(flow), which returns the
             FlowDetail of earlier claims or None. If logbooks are kept outside
             the queue's database, logbook.remove(lease) removes those of this
             claim and of earlier ones. None if logbook_kind() returns None

    options              (oslo.config's OptGroup, its options) pairs, which are
                         registered if the configuration chooses this executor
    needs_green_threads  whether it works with green threads only
    """

    options: collections.abc.Sequence[tuple[typing.Any, collections.abc.Sequence[typing.Any]]] = ()
    needs_green_threads: bool = False

    @classmethod
    def check(cls, conf: typing.Any, processes: int | None = None) -> None:
        """Raises ConfigError if it cannot run tasks as configured.

        processes  how many processes run tasks; None: as many as [DEFAULT] workers
        """
        return

    @classmethod
    def logbook_kind(cls, conf: typing.Any) -> LogbookKind | None:
        """The kind of logbook that it needs to resume runs; None if it resumes none."""
        return None

    @classmethod
    def describe(cls, conf: typing.Any) -> str:
        """How it runs tasks as configured, for the log; a few words, or nothing."""
        return ''

    def staging(self, here: Staging) -> Staging:
        """The staging area for the tools of this process.

        here  the area of this host
        """
        return here

    def see_folders(
        self, look: collections.abc.Callable[[], collections.abc.Mapping[str, str]]
    ) -> None:
        """Take what tells the folders of the stores of this host from those of others.

        look  look(): by store, the id of the folder that this process has seen last. Waits for
              disks when it is first called. Stores without a folder are left out
        """
        return

    def lacks(self) -> list[str]:
        """What accepted tasks wait for that somebody has to provide: a sentence each."""
        return []

    @property
    @abc.abstractmethod
    def runs(self) -> 'RunControl':
        """What steps report to, and what tells them to stop."""

    @abc.abstractmethod
    def start(self) -> None:
        """Begin to claim and run tasks in this process. Returns at once."""

    @abc.abstractmethod
    def submit(self, task_id: str) -> None:
        """Note that a task waits in the queue. Returns at once and never fails."""

    @abc.abstractmethod
    def cancel(self, task_id: str) -> None:
        """Note that a cancel was requested. Returns at once and never fails."""

    @abc.abstractmethod
    def stop(self, grace: float) -> None:
        """Claim no more; after grace seconds, hand back the tasks that still run.

        Returns when no run is left, or shortly after grace: a run may hang in a
        call that cannot be stopped. Its task can be claimed again when its lease
        has run out.
        """


class RunControl(abc.ABC):
    """How steps report their progress, and how they learn that they should stop."""

    @abc.abstractmethod
    def progress(self, lease: Lease, bytes_done: int | None = None) -> None:
        """Report progress of the current step, and raise_if_stopped().

        bytes_done  for a step that moves bytes, how many so far; the same
                    number again is no progress
        """

    def begun(self, lease: Lease, step: str) -> None:
        """Report that this thread begins a step, for those who look at the task."""

    def show(self, lease: Lease, bytes_done: int, bytes_total: int | None = None) -> None:
        """Report bytes of the current step to those who look at the task. Never raises a Drop.

        progress() does so as well; this is for the total, and for bytes that no later
        claim could use.
        """

    def moved(self, lease: Lease) -> collections.abc.Mapping[str, int]:
        """The bytes of the current step as reported: bytes_done, bytes_total and rate."""
        return {}

    @abc.abstractmethod
    def at_work(
        self, lease: Lease, *, undoing: bool = False
    ) -> contextlib.AbstractContextManager[None]:
        """A context for a thread while it does or undoes a step.

        undoing  whether it undoes a step, or removes something

        If the run is given up, its Drop is raised in that thread at once. A thread
        that cannot be interrupted gets it when it leaves the context. If no attempt
        is left, Hung is raised instead. If the task is cancelled, Cancelled is
        raised in the same way, unless the thread is undoing.
        """

    @abc.abstractmethod
    def waiting(self, lease: Lease) -> contextlib.AbstractContextManager[None]:
        """A context for the thread of a step while it waits for bytes of its source.

        Inside, the step is not at work, so that another one can begin. The context
        costs next to nothing and can be entered again and again, by this thread only.
        """

    @abc.abstractmethod
    def done(self, lease: Lease) -> None:
        """Report that the step of this thread has succeeded."""

    @abc.abstractmethod
    def raise_if_stopped(self, lease: Lease) -> None:
        """Raises the Drop if the run should stop, or the error with which it should fail.

        A thread that undoes or removes something gets only Drops.
        """


class RunResult(enum.Enum):
    """How a run ended, unless a Drop stopped it."""

    SUCCEEDED = 'succeeded'  # every step succeeded
    REVERTED = 'reverted'  # a step failed and every earlier step was undone
    UNKNOWN = 'unknown'  # nobody can tell which steps were undone


class FlowRunner(abc.ABC):
    """How an executor runs the flow of one claimed task. All else is the conductor's."""

    @abc.abstractmethod
    def run_flow(self, flow: Flow, claim: Claim) -> RunResult:
        """Run a flow for a claim. Lets Drops pass."""

    def room(self) -> float:
        """How many more tasks may be claimed; math.inf: as many as there are slots.

        Asked often, so it must be fast and must not wait.
        """
        return math.inf

    def can_resume(self, flow: Flow, claim: Claim) -> bool:
        """Whether run_flow() will continue behind the finished steps of an earlier claim."""
        return False

    def remove_logbook(self, lease: Lease) -> None:
        """Remove what can_resume() would find, unless it is in the database of the queue."""
