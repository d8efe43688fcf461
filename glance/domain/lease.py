"""Who may write for a task, and how a run is stopped without an undo.

A claim of a task is a Lease: its number grows with each claim, and each
transaction of a run first proves that its number is still the one in the
queue. What ends a run but not the task derives from Drop, which is no
Exception, so that no step and no engine mistakes it for a failure: nothing is
undone, nothing more is written, and the next claim continues.

    Drop
      LostLease     somebody else holds the task now
      HandBack      this process is stopping
      DatabaseGone  the database does not answer
      Stalled       no progress for stall_timeout
      Ended         the task has ended already; there is nothing to do

Hung is an Exception: it ends one undo, so that the others are done.
"""

import dataclasses
import typing


@dataclasses.dataclass(frozen=True, slots=True)
class Lease:
    """One claim of one task. First parameter of all that a run may write."""

    task_id: str
    number: int

    def __str__(self) -> str:
        return f'{self.task_id}.{self.number}'


class Point(typing.NamedTuple):
    """How far a run has come: steps finished, then bytes of the step at work."""

    step: int = 0
    bytes: int = 0


class Drop(BaseException):
    """Stop this run where it is; undo nothing."""


class LostLease(Drop):
    """Another claim holds the task; what this run still does has no effect."""


class HandBack(Drop):
    """The process is stopping; the task goes back to the queue."""


class DatabaseGone(Drop):
    """The database does not answer; nothing can be known or written."""


class Stalled(Drop):
    """No progress for longer than stall_timeout; counts as an attempt."""


class Ended(Drop):
    """The task turned out to have ended; what it made must not be undone."""


class Hung(Exception):
    """An undo made no progress for stall_timeout, and no attempt is left to try it again."""
