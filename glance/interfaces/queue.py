"""The queue of accepted tasks, and the leases of the processes that run them."""

import abc
import collections.abc
import types
import typing

from glance.domain.entry import Claim, Held
from glance.domain.lease import Lease, Progress
from glance.domain.leftover import Leftover
from glance.domain.steps import RunReport
from glance.domain.suspects import SuspectGroup
from glance.interfaces.writes import Write


class TaskQueue(abc.ABC):
    """The entries of accepted tasks, and their leases. All times are those of the database.

    A holder is the name of a process that holds leases.

    Each write of a run also writes the events that wait in its lease, and those of its own;
    TaskRepository.events() shows them.

    suspects_here  whether claim() also gives suspects, one at a time and alone, because
                   no child process runs them
    on_end         called with the id of a task after finish(), end() or cancel() has ended it,
                   or found it ended. Requests that wait for the end of a task hear of it at once
                   then; without it, they hear of it a second later
    """

    suspects_here = True

    def deployment(self) -> str:
        """The id of the deployment whose tasks these are."""
        return 'unknown'

    on_end: collections.abc.Callable[[str], None] = staticmethod(lambda task_id: None)

    @abc.abstractmethod
    def claim(
        self,
        holder: str,
        limit: int,
        *,
        seconds: float,
        versions: collections.abc.Mapping[str, int],
        running: collections.abc.Collection[str] = (),
        suspects: SuspectGroup | None = None,
    ) -> list[Claim]:
        """Claim the next entries, by priority, then by age.

        An entry is claimable if it has no lease, or if its lease has expired. A
        pending task becomes processing. An expired lease counts as the death of its
        holder, unless the run got further than those before it.

        limit     entries at most
        seconds   the length of the leases
        versions  the flow version that this process knows, by task type; it gets
                  entries of these types up to that version
        running   ids of tasks that this process still runs; it does not get them
        suspects  claim from this group, by the pauses of glance.domain.suspects; None:
                  claim what is not suspect, or as suspects_here says
        """

    @abc.abstractmethod
    def suspects(self) -> list[tuple[int, int]]:
        """(deaths, number) of the suspects that can be claimed now.

        First come those among which one is to be cancelled, then those among which one has
        waited the longest since its last run.
        """

    @abc.abstractmethod
    def blame(self, lease: Lease, death: str) -> None:
        """Count an attempt: the process that ran only this task died, and this is how."""

    @abc.abstractmethod
    def unclaimable(
        self, versions: collections.abc.Mapping[str, int]
    ) -> list[tuple[str, int, int]]:
        """(type, flow version, number) of claimable entries that need other versions.

        A process that knows these versions does not get them from claim().
        """

    @abc.abstractmethod
    def renew(
        self,
        holder: str,
        reports: collections.abc.Mapping[Lease, RunReport | None],
        *,
        seconds: float,
    ) -> None:
        """Extend these leases to this number of seconds from now, and record the reports.

        reports  how far the runs are; None for one that is as far as the queue knows
        """

    @abc.abstractmethod
    def held(self, holder: str) -> list[Held]:
        """The leases that this holder still has, and whether their tasks are to be cancelled."""

    @abc.abstractmethod
    def release(
        self,
        lease: Lease,
        best_progress: Progress,
        *,
        stalled: bool = False,
        died: bool = False,
        reason: str = '',
    ) -> None:
        """Hand an entry back; it is claimable at once. Does nothing if the lease is lost.

        stalled  count an attempt, unless the run got further than those before it
        reason   why, for the timeline; one or two words
        died     let the next claim count a death, with the same exception
        """

    @abc.abstractmethod
    def expire(self, holders: collections.abc.Collection[str]) -> int:
        """End the leases of dead processes. Returns how many leases."""

    @abc.abstractmethod
    def holders(self) -> list[str]:
        """All processes that hold a lease, including this one."""

    @abc.abstractmethod
    def fail(
        self,
        lease: Lease,
        message: str,
        *,
        step: str | None = None,
        moved: collections.abc.Mapping[str, int] = types.MappingProxyType({}),
    ) -> tuple[str, str]:
        """Record the outcome 'failure' and its reason, unless there is an outcome already.

        step   the name of the step that has failed, for the timeline
        moved  its bytes, as RunControl.moved() has them

        If the task is to be cancelled, the reason is that of Cancelled.

        Returns the recorded outcome and its message.
        """

    @abc.abstractmethod
    def outcome(self, lease: Lease) -> tuple[str | None, str]:
        """The recorded outcome, or None, and its message. Raises LostLease without an entry."""

    @abc.abstractmethod
    def verify_lease(self, lease: Lease) -> None:
        """Raises LostLease if there is a later claim, or the entry is gone. Only reads."""

    @abc.abstractmethod
    def reset_progress(
        self, lease: Lease, flow_version: int, work: collections.abc.Mapping[str, typing.Any]
    ) -> None:
        """Delete the record of finished steps. The run begins anew, with this version and work."""

    @abc.abstractmethod
    def record_leftovers(
        self, lease: Lease, leftovers: collections.abc.Iterable[Leftover]
    ) -> None:
        """Record data that this task could not remove. The same leftover is recorded once."""

    @abc.abstractmethod
    def end(self, lease: Lease, *, progress: int = 0) -> None:
        """End the task with its outcome if it has not ended. Delete entry and logbook.

        progress  how many percent were done, if the task has failed
        """

    @abc.abstractmethod
    def finish(
        self,
        lease: Lease,
        result: collections.abc.Mapping[str, typing.Any],
        writes: collections.abc.Iterable[Write] = (),
    ) -> None:
        """The one commit of a task: apply the writes, and the task has succeeded.

        result  the result of the task, as the API shows it; plain data

        Does nothing if it has been done before. Raises Cancelled if the task is to
        be cancelled, the error of a write that cannot be applied, and WrongWrite
        for one of another claim. Nothing is written then.
        """

    @abc.abstractmethod
    def cancel(self, task_id: str, *, reason: str | None = None, by: str | None = None) -> bool:
        """Ask a task to stop, and record who asked and why. The API calls this.

        A task that no process has ever claimed ends at once. For any other one, the
        process that runs it learns of the request from held(), or the next that
        claims it from the claim; claim() prefers it to all that wait.

        by  the id of the user

        Returns False if the task has ended, or has an outcome for another reason. A
        second request changes nothing, and returns True until the task has ended.
        """
