"""The queue entry: what a run needs to know of a task, and nothing else."""

import dataclasses
import typing

from glance.domain.lease import Lease, Point


@dataclasses.dataclass(frozen=True)
class Entry:
    """A task's row in the queue as it is written at POST.

    work is plain data (JSON) that decides the result: image id, properties,
    owner, store. What decides only the means is the runner's configuration.
    """

    task_id: str
    type: str
    flow_version: int
    work: dict[str, typing.Any]
    priority: int = 0


class Outcome:
    """How a run ended; written before its consequences are (DESIGN: durability)."""

    SUCCESS = 'success'
    FAILURE = 'failure'


@dataclasses.dataclass(frozen=True)
class Claim:
    """An entry this process may now run, and what earlier claims left behind."""

    lease: Lease
    type: str
    flow_version: int
    work: dict[str, typing.Any]
    attempts: int  # consecutive deaths of earlier claims that got no further
    furthest: Point  # reached by any claim so far
    outcome: str | None  # Outcome of an earlier claim that did not get to tidy up
    message: str
    cancel_requested: bool
    request_id: str | None = None  # of the POST, for the log
    predecessor: str | None = None  # who held it and did not give it back

    @property
    def resumed(self) -> bool:
        """Whether an earlier claim may have left something behind."""
        return self.lease.number > 1

    @property
    def values(self) -> dict[str, typing.Any]:
        """What the steps of its run take by name, but for what they give one another."""
        return self.work | {'lease': self.lease, 'predecessor': self.predecessor}


@dataclasses.dataclass(frozen=True)
class Held:
    """What the queue says of a lease this process holds."""

    lease: Lease
    cancel_requested: bool
