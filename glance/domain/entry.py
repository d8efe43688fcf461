"""The queue entry: all that a run needs to know of a task."""

import collections.abc
import dataclasses
import enum
import json
import typing

from glance.domain.lease import Lease, Progress
from glance.domain.sent_steps import NOTHING_SENT, SentSteps

# The values that each run adds to the work, by the names by which steps get them.
RUN_VALUES = ('lease', 'predecessor')

# The predecessor of a claim of whom it is not known which process it was.
UNKNOWN_HOLDER = 'unknown'


def plain_work(
    work: typing.Any, *, provided: collections.abc.Collection[str]
) -> dict[str, typing.Any]:
    """The work that a task type gives, as plain data of its own.

    provided  the names of the values that steps provide. Executors differ in what steps
              get if the work has one of them, too

    Raises TypeError or ValueError with the reason if it cannot be the work of an entry.
    """
    if not isinstance(work, collections.abc.Mapping):
        raise TypeError(f'the work is of the type {type(work).__name__}, which is no mapping')
    plain: dict[str, typing.Any] = json.loads(json.dumps(dict(work), allow_nan=False))
    for name in plain:
        if name in RUN_VALUES:
            raise ValueError(f'the name "{name}" in the work is one of the service')
        if name in provided:
            raise ValueError(f'the name "{name}" in the work is one that a step provides')
    return plain


@dataclasses.dataclass(frozen=True)
class Entry:
    """The entry of a task as POST writes it.

    work  plain data (JSON) that decides the result: image id, properties, owner,
          store; settings that decide only how the task runs are configuration
    """

    task_id: str
    type: str
    flow_version: int
    work: dict[str, typing.Any]
    priority: int = 0


class Outcome(enum.StrEnum):
    """How a task ends. It is recorded first; cleaning up after the run comes later."""

    SUCCESS = 'success'
    FAILURE = 'failure'


@dataclasses.dataclass(frozen=True)
class Claim:
    """An entry that this process may now run, and the state that earlier claims left."""

    lease: Lease
    type: str
    flow_version: int
    work: dict[str, typing.Any]
    attempts: int  # earlier claims in a row that got no further, by the fault of this task
    best_progress: Progress  # the best of all claims so far
    outcome: str | None  # written by an earlier claim that died before it cleaned up
    message: str
    cancel_requested: bool
    request_id: str | None = None  # of the POST, for the log
    predecessor: str | None = (
        None  # the process that held the task before and did not hand it back
    )
    deaths: int = 0  # earlier claims in a row that got no further because their process died
    last_death: str | None = None  # how the process died that ran this task only
    percent: int = 0  # of the task that its user has seen done; it must not fall in this claim
    sent: SentSteps = NOTHING_SENT  # what its conductor sent to workers; only they read it

    @property
    def resumed(self) -> bool:
        """Whether an earlier claim may have left something behind."""
        return self.lease.number > 1

    @property
    def values(self) -> dict[str, typing.Any]:
        """The values that steps take by name, except those that earlier steps provide."""
        return self.work | {'lease': self.lease, 'predecessor': self.predecessor}


@dataclasses.dataclass(frozen=True)
class Held:
    """A lease that this process holds, and whether its task is to be cancelled."""

    lease: Lease
    cancel_requested: bool
