"""What can be replaced, and what each promises.

Implementations are put together by glance/bootstrap.py; the promises are
test suites in glance/testing/contracts.py. A method that a run calls takes the
Lease first: it raises LostLease and changes nothing once another claim exists,
and DatabaseGone where a method called by the API raises DatabaseUnavailable.
"""

import abc
import collections.abc
import contextlib
import dataclasses
import typing

from glance.domain.checkpoint import Checkpoint
from glance.domain.entry import Claim, Entry, Held
from glance.domain.image import Image, Location
from glance.domain.lease import Lease, Point
from glance.domain.leftover import Leftover
from glance.domain.listing import Listing
from glance.domain.task import Task


class TaskExecutor(abc.ABC):
    """Runs accepted tasks: decides where and when, never what.

    What waits stands in the queue; submit() and cancel() only save the wait
    for the next look at it. Every executor passes
    glance.testing.contracts.ExecutorContract. It is found by its name in the
    glance.task_executors entry points and built as

        TaskExecutor(conf, queue, flows, owner, logbook)

    conf     the configuration, oslo.config's ConfigOpts
    queue    a TaskQueue
    flows    task type to Flow
    owner    the name under which this process holds leases
    logbook  logbook(claim, flow): the logbook of a run, as TaskFlow's engines
             take one (Backend), with recall(flow): the FlowDetail of earlier
             claims, or None. Where logbooks are kept outside of the queue's
             database, logbook.forget(lease) removes those of this claim and
             of earlier ones. None if runs are not to be remembered
    """

    @property
    @abc.abstractmethod
    def runs(self) -> 'Runs':
        """Where steps report to, and hear that they should stop."""

    @abc.abstractmethod
    def start(self) -> None:
        """Begin to claim and run tasks in this process. Returns at once."""

    @abc.abstractmethod
    def submit(self, task_id: str) -> None:
        """Say that a task waits. Returns at once and never fails."""

    @abc.abstractmethod
    def cancel(self, task_id: str) -> None:
        """Say that a cancel was asked for. Returns at once and never fails."""

    @abc.abstractmethod
    def stop(self, grace: float) -> None:
        """Claim no more; after grace seconds hand back what has not ended.

        Returns when nothing of this executor runs any more, or shortly after
        grace: what hangs in a call that cannot be stopped is left to its lease.
        """


class Step(abc.ABC):
    """One thing a flow does, with its undo. Holds no state: data travels, tools stay.

    The parameters of do() and undo() are found by name among the work of the
    entry, 'lease', 'predecessor' (who held the task before and did not give it
    back, or None), and what earlier steps gave. Both can run twice: a death
    between "done" and "remembered" repeats them.
    """

    name: str  # what is done, lower case with hyphens; the identity on resumption
    gives: str | None = None  # the name under which later steps find what do() returns
    commits = False  # its do() notes the outcome, so nobody needs to remember that it ended

    @abc.abstractmethod
    def do(self, *args: typing.Any, **needs: typing.Any) -> typing.Any:
        """Do it. An exception fails the run: this step and those before are undone."""

    def undo(self, *args: typing.Any, **needs: typing.Any) -> None:
        """Take back whatever do() did, or began to do.

        May raise: it is tried again, and when it fails for good, what leaves()
        names is recorded, and the steps before are undone all the same.
        """

    def leaves(self, *args: typing.Any, **needs: typing.Any) -> collections.abc.Iterable[Leftover]:
        """What is left when undo() failed for good, for the sweeper; needs as undo() has them."""
        return ()

    def holds(self, given: typing.Any) -> bool:
        """Whether what an earlier claim's do() returned can still be used here.

        given  as do() returned it, after a passage through JSON
        """
        return True


class Group(tuple[Step, ...]):
    """Steps of a flow that may run at the same time; none needs what another gives."""


@dataclasses.dataclass(frozen=True)
class Flow:
    """The ordered steps of one type of task.

    version  grows when steps are added, removed, renamed or reordered
    discard  discard(lease, work): removes all that a task of this type owns,
             wherever its runs ended; idempotent, raises only Drops
    tidy     tidy(lease): removes what only a run needed, once the outcome stands
    """

    type: str
    version: int
    steps: tuple[Step | Group, ...]
    discard: collections.abc.Callable[[Lease, dict[str, typing.Any]], None]
    tidy: collections.abc.Callable[[Lease], None]

    def each(self) -> list[Step]:
        """All steps in order, those of groups one after another."""
        return [
            step for item in self.steps for step in (item if isinstance(item, Group) else (item,))
        ]

    def holding(self, given: collections.abc.Mapping[str, typing.Any]) -> list[str]:
        """Names of the ended steps that a run can be taken up behind, in order.

        given  what steps that have ended gave, by the name of the step

        A step that has not ended, or does not hold, is done again, and so are
        those after it: they used what it gave. Steps of one group use nothing
        of each other.
        """
        names: list[str] = []
        for item in self.steps:
            steps = item if isinstance(item, Group) else (item,)
            held = [
                step.name for step in steps if step.name in given and step.holds(given[step.name])
            ]
            names += held
            if len(held) < len(steps):
                break
        return names


class Runs(abc.ABC):
    """What steps report, and how they hear that they should stop."""

    @abc.abstractmethod
    def progress(self, lease: Lease, bytes_done: int | None = None) -> None:
        """Say that the step at work gets on; and check().

        bytes_done  bytes of this step so far, where it moves bytes; the same
                    number again is no progress
        """

    @abc.abstractmethod
    def at_work(self, lease: Lease) -> contextlib.AbstractContextManager[None]:
        """To be held by a thread while it is in a step, to do or to undo it.

        When the run is given up, its Drop is raised there if the thread can be
        interrupted, and when it leaves if not; Hung if no attempt is left.
        """

    @abc.abstractmethod
    def done(self, lease: Lease) -> None:
        """Say that a step has ended well."""

    @abc.abstractmethod
    def check(self, lease: Lease) -> None:
        """Raises the Drop or Cancelled that the run was told of, if it was."""


class TaskQueue(abc.ABC):
    """The entries of accepted tasks, and who may run them. All times are the database's."""

    @abc.abstractmethod
    def claim(
        self,
        owner: str,
        limit: int,
        *,
        seconds: float,
        versions: collections.abc.Mapping[str, int],
        running: collections.abc.Collection[str] = (),
    ) -> list[Claim]:
        """Take the next entries, by priority, then age, for so many seconds.

        Claimable is what nobody holds and what somebody's lease ran out on.
        A pending task becomes processing.

        versions  the flow version this process knows, by task type: it is
                  given entries of these types up to that version
        running   tasks that this process still runs and must not be given
        """

    @abc.abstractmethod
    def unclaimable(
        self, versions: collections.abc.Mapping[str, int]
    ) -> list[tuple[str, int, int]]:
        """(type, flow version, how many) of the entries that wait and that claim() does
        not give to a process which knows these versions."""

    @abc.abstractmethod
    def renew(
        self, owner: str, furthest: collections.abc.Mapping[Lease, Point], *, seconds: float
    ) -> None:
        """Hold these leases for so many seconds from now, and note how far their runs are."""

    @abc.abstractmethod
    def held(self, owner: str) -> list[Held]:
        """The leases that this owner still has, and whether a cancel was asked for."""

    @abc.abstractmethod
    def release(self, lease: Lease, furthest: Point, *, died: bool = False) -> None:
        """Give an entry back, claimable at once. No error if the lease is lost.

        died  count it as an attempt, as if the process had died
        """

    @abc.abstractmethod
    def expire(self, owners: collections.abc.Collection[str]) -> int:
        """End the leases of owners that are provably dead; returns how many."""

    @abc.abstractmethod
    def owners(self) -> list[str]:
        """All owners that hold a lease, their own process's too."""

    @abc.abstractmethod
    def fail(self, lease: Lease, message: str) -> tuple[str, str]:
        """Note the outcome 'failure' and why, unless an outcome is noted already.

        Returns the outcome that stands, and its message.
        """

    @abc.abstractmethod
    def outcome(self, lease: Lease) -> tuple[str | None, str]:
        """The outcome noted so far, and its message."""

    @abc.abstractmethod
    def check(self, lease: Lease) -> None:
        """Raises LostLease if there is a later claim, or the entry is gone. Only reads."""

    @abc.abstractmethod
    def forget(self, lease: Lease, flow_version: int) -> None:
        """Forget which steps have ended: the run begins anew, with a flow of this version."""

    @abc.abstractmethod
    def leave(self, lease: Lease, leftovers: collections.abc.Iterable[Leftover]) -> None:
        """Record what this task could not remove. The same thing twice is one."""

    @abc.abstractmethod
    def end(self, lease: Lease) -> None:
        """End the task by its outcome if it has not ended; remove entry and logbook."""

    @abc.abstractmethod
    def finish(
        self,
        lease: Lease,
        image_id: str,
        location: str,
        facts: collections.abc.Mapping[str, typing.Any],
    ) -> None:
        """The one commit of an import: image active, location real, task success.

        location  the URL of the announced location that becomes real
        facts     size, virtual_size, checksum, os_hash_algo, os_hash_value

        Does nothing when it was done before. Raises Cancelled if a cancel was
        asked for, ImageGone if the image was deleted meanwhile.
        """

    @abc.abstractmethod
    def cancel(self, task_id: str) -> bool:
        """Ask that a task stops. False if it is not queued any more. Called by the API."""


class TaskRepository(abc.ABC):
    """Task records, as the API sees them."""

    @abc.abstractmethod
    def add(self, task: Task, entry: Entry) -> None:
        """Write task and entry in one transaction. Raises ImageExists if the image does."""

    @abc.abstractmethod
    def get(self, task_id: str, *, owner: str | None = None) -> Task:
        """A task that has not expired. Raises TaskNotFound.

        owner  only a task of this project; None: of anyone
        """

    @abc.abstractmethod
    def page(self, listing: Listing, *, owner: str | None = None) -> list[Task]:
        """A page, without input, result and message. Raises Invalid for a bad marker."""

    @abc.abstractmethod
    def of_image(self, image_id: str, *, owner: str | None = None) -> list[Task]:
        """All tasks that name this image and have not expired, newest first."""

    @abc.abstractmethod
    def purge(self, *, limit: int) -> int:
        """Remove ended tasks that have expired, so many at most; returns how many."""


class ImageRepository(abc.ABC):
    """Image records and where their bytes are."""

    @abc.abstractmethod
    def get(self, image_id: str, *, visible_to: str | None = None) -> Image:
        """An image that is not deleted. Raises ImageNotFound.

        visible_to  only what this project may see; None: all
        """

    @abc.abstractmethod
    def page(self, listing: Listing, *, visible_to: str | None = None) -> list[Image]:
        """A page. Raises Invalid for a bad marker."""

    @abc.abstractmethod
    def locations(self, image_id: str) -> list[Location]:
        """Where the bytes of an image can be read now."""

    @abc.abstractmethod
    def delete(self, image_id: str) -> list[Location]:
        """Mark the image deleted; returns the locations whose bytes must go.

        Raises ImageNotFound, or Forbidden for a protected image.
        """

    @abc.abstractmethod
    def forget(self, location: Location) -> None:
        """Remove the row of a location whose bytes are gone. Idempotent."""

    @abc.abstractmethod
    def create(self, lease: Lease, image: Image) -> None:
        """Add a record for this task (created_by_task). Idempotent for the same task.

        Raises ImageExists if the id is another's.
        """

    @abc.abstractmethod
    def check(self, lease: Lease, image_id: str, *, within: float = 0.0) -> None:
        """Raises ImageGone unless this task's image is there, and importing. Only reads.

        within  seconds for which one reading may serve all runs of this process
        """

    @abc.abstractmethod
    def announce(self, lease: Lease, location: Location) -> list[Location]:
        """Note a location before its first byte; returns those announced before. Idempotent.

        Raises ImageGone if the image was deleted meanwhile.
        """

    @abc.abstractmethod
    def announced(self, lease: Lease, image_id: str) -> list[Location]:
        """The pending locations of an image made by this task."""

    @abc.abstractmethod
    def withdraw(self, lease: Lease, location: Location) -> None:
        """Remove a pending location whose bytes are gone. Idempotent."""

    @abc.abstractmethod
    def remove(self, lease: Lease, image_id: str) -> None:
        """Remove the record that this task made, if it is there and not active. Idempotent."""


class ImageStore(abc.ABC):
    """A place for image bytes. Nothing in it is ever overwritten."""

    @abc.abstractmethod
    def location_of(self, image_id: str, number: int) -> str:
        """The URL under which claim so-and-so of an import stores an image."""

    @abc.abstractmethod
    def add(
        self,
        url: str,
        path: str,
        *,
        on_progress: collections.abc.Callable[[int], None] = lambda stored: None,
    ) -> None:
        """Store a staged file under this URL, durably, before returning.

        on_progress  called every few seconds meanwhile with the bytes stored so
                     far; what it raises ends the work

        Idempotent for the same file. Raises ForeignFile if another stands
        there, StorageFull if there is no room.
        """

    @abc.abstractmethod
    def open(self, url: str) -> contextlib.AbstractContextManager[typing.BinaryIO]:
        """The bytes, seekable. Raises Unavailable if they cannot be read."""

    @abc.abstractmethod
    def delete(self, url: str) -> None:
        """Remove the bytes. Idempotent."""


class Staging(abc.ABC):
    """Where bytes wait on their way to a store; a folder per task and claim."""

    @abc.abstractmethod
    def path(self, lease: Lease) -> str:
        """The file into which this claim receives; its folder is made if need be."""

    @abc.abstractmethod
    def folder(self, lease: Lease, *, earlier: bool = False) -> str:
        """The folder of this claim, or that of the task, which holds earlier ones as well."""

    @abc.abstractmethod
    def take_over(
        self,
        lease: Lease,
        predecessor: str | None,
        *,
        on_progress: collections.abc.Callable[[int], None] = lambda copied: None,
    ) -> Checkpoint | None:
        """Put what an earlier claim received durably under path(lease).

        predecessor  who held the task before and did not give it back
        on_progress  called now and then with the bytes copied so far; what it
                     raises ends the work

        Returns how much it is, or None if there is nothing that can be used.
        """

    @abc.abstractmethod
    def remove(self, lease: Lease, *, earlier: bool = False) -> None:
        """Remove what this claim staged, or also what earlier ones did. Idempotent.

        Never what a later claim stages: this one may have lost its lease.
        """


class Resolver(abc.ABC):
    """Turns names into addresses."""

    @abc.abstractmethod
    def addresses(self, host: str, port: int) -> list[str]:
        """All IP addresses of a name, as text; empty if it has none."""
