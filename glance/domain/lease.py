"""The right to write for a task, and the ways to stop a run without an undo.

Each claim of a task is a Lease. Its number grows with each claim, and each
transaction of a run first verifies that its number is still that of the queue.

A Drop ends a run but not its task. Drop is no Exception, so no step and no engine
treats it as a failure: nothing is undone, nothing more is written, and the next
claim continues.

    Drop
      LostLease     a later claim holds the task
      HandBack      this process is stopping
        Acquitted     a suspect got further, and is no suspect any more
        NoFreeThread  every thread that runs steps is blocked in this process
        WorkerGaveUp  the worker that did a step handed it back
        HostGone      the host that has what was staged is gone
      DatabaseGone  the database does not answer
        QueueBroke    the queue or its database raised an error that nobody knows
      WorkerLost    the worker that did a step is gone or cut off
      Lacking       this process lacks descriptors or memory
      Stalled       no progress for stall_timeout
        RunBroke      an error of the service itself ended the run
        CancelIgnored a step went on although its task is to be cancelled
      Ended         the task has ended already; there is nothing to do

Hung is an Exception: it ends one undo, and the other undos still run.
"""

import dataclasses
import typing

from glance.domain.events import PendingEvents


@dataclasses.dataclass(frozen=True, slots=True)
class Lease:
    """One claim of one task. Every method by which a run writes takes it first.

    events  what the run has to tell with its next write
    """

    task_id: str
    number: int
    events: PendingEvents = dataclasses.field(
        default_factory=PendingEvents, compare=False, repr=False
    )

    def __str__(self) -> str:
        return f'{self.task_id}.{self.number}'


class Progress(typing.NamedTuple):
    """How far a run has come: finished steps, then bytes of the running step."""

    step: int = 0
    bytes: int = 0


class Drop(BaseException):
    """Stops a run where it is; nothing is undone.

    reason  why, for the timeline of the task
    """

    reason = 'stopped'


class LostLease(Drop):
    """A later claim holds the task. This run can write nothing more."""


class HandBack(Drop):
    """The process is stopping; the task goes back to the queue."""

    reason = 'the service is stopping'


class NoFreeThread(HandBack):
    """Every thread that runs steps is blocked; the task goes back to the queue."""

    reason = 'no thread is free'


class Acquitted(HandBack):
    """A suspect got further than before; it goes back to those that are no suspects."""

    reason = 'it got further'


class DatabaseGone(Drop):
    """The database does not answer. The run can read and write nothing."""

    reason = 'the database did not answer'


class QueueBroke(DatabaseGone):
    """The queue or its database raised an error that nobody knows. It is not of the task."""


class Lacking(Drop):
    """This process lacks descriptors, buffers, memory or threads; that is no fault of the task."""

    reason = 'the process lacked what it needs'


class WorkerLost(Drop):
    """The worker that did a step of the run is gone or cut off. This counts as a death."""

    reason = 'the worker is gone'


class WorkerGaveUp(HandBack):
    """The worker that did a step of the run handed it back."""

    reason = 'the worker gave it up'


class HostGone(HandBack):
    """No worker has what was staged any more; the next claim fetches it again elsewhere."""

    reason = 'the host with the staged files is gone'


class Stalled(Drop):
    """The run made no progress for stall_timeout. This counts as an attempt."""

    reason = 'it made no progress'


class RunBroke(Stalled):
    """An error of the service itself ended the run; counts as an attempt."""

    reason = 'an error of the service'


class CancelIgnored(Stalled):
    """A step went on although its task is to be cancelled. The next claim only discards."""


class Ended(Drop):
    """The task has ended already. Its result must not be undone."""

    reason = 'the task has ended'


class Hung(Exception):
    """An undo made no progress for stall_timeout, and no attempt is left to repeat it."""
