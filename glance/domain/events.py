"""What happened to a task: the events of its timeline.

An event belongs to a task, to one claim of it, or to a step of a claim. It is a row of the
database, and its number grows with each event of its task. An event of a run that has no
write of its own waits in PendingEvents, which the lease carries, for the next write.
"""

import collections
import collections.abc
import dataclasses
import datetime
import enum
import functools
import os
import socket
import typing


class Kind(enum.StrEnum):
    """What an event tells; the part before the dot says of what."""

    ACCEPTED = 'task.accepted'  # a client posted the task
    CANCEL_REQUESTED = 'task.cancel-requested'  # somebody wants it to stop
    FAILING = 'task.failing'  # the task is to fail; what there is will be removed
    SUCCESS = 'task.success'  # ended
    FAILURE = 'task.failure'  # ended; detail has the message of the task

    CLAIMED = 'claim.begun'  # a process took the task
    RESUMED = 'claim.resumed'  # it goes on behind the finished steps of earlier claims
    DISCARDED = 'claim.discarded'  # it has removed what earlier claims had made
    EXPIRED = 'claim.expired'  # the process died, or did not answer until its lease ran out
    BLAMED = 'claim.blamed'  # the process died while it ran nothing but this task
    HANDED_BACK = 'claim.handed-back'  # the process gave the task back; detail has the reason

    STEP_BEGUN = 'step.begun'
    STEP_RETRIED = 'step.retried'  # a part of its work failed, and it tries again; with the reason
    STEP_BEGUN_AGAIN = 'step.begun-again'  # it could not use what it had, and goes on without
    STEP_DONE = 'step.done'
    STEP_FAILED = 'step.failed'  # detail has the reason
    STEP_STOPPED = 'step.stopped'  # amid its work, with its claim; a later one continues
    STEP_UNDONE = 'step.undone'
    STEP_LEFT = 'step.left-behind'  # it could not be undone; the service tries again later


def host_here() -> str:
    """The name of this host, as events, leases and workers give it."""
    return socket.gethostname()[:64]


@functools.cache
def place_here() -> tuple[str, str]:
    """The names of this host and of this process, for events that no claim tells."""
    return host_here(), str(os.getpid())


def place_of(holder: str | None) -> tuple[str | None, str | None]:
    """The names of host and process in the name under which a process holds leases."""
    if not holder:
        return None, None
    host, slash, rest = holder.partition('/')
    return (host, rest.rpartition('/')[2]) if slash else (None, holder)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclasses.dataclass(frozen=True)
class Event:
    """One thing that happened to a task.

    kind     a Kind, or one that a newer release of the service has written
    seq      its number among the events of the task; 0: it is not written yet
    attempt  the number of the claim that it belongs to
    detail   more about it; plain data (JSON) that the owner of the task may read
    """

    kind: str
    step: str | None = None
    detail: collections.abc.Mapping[str, typing.Any] = dataclasses.field(default_factory=dict)
    at: datetime.datetime = dataclasses.field(default_factory=_now)
    attempt: int | None = None
    host: str | None = None
    process: str | None = None
    seq: int = 0

    @property
    def id(self) -> str:
        """What the marker of a page names."""
        return str(self.seq)


def event_here(kind: Kind, **detail: typing.Any) -> Event:
    """An event that this process tells without a claim, such as a request of a client."""
    host, process = place_here()
    return Event(kind, detail=detail, host=host, process=process)


class PendingEvents:
    """The events of a run that wait for its next write.

    That a step began may be lost if the process dies, so it alone makes no write longer.
    After an error of a write, nobody knows whether its events are in the database.

    holder  the name under which the process of the run holds leases
    """

    def __init__(self, holder: str | None = None) -> None:
        self.host, self.process = place_of(holder)
        self.doubtful = False  # some of them may be in the database
        self.begun: set[str] = set()  # the steps that this claim began
        self.committing: str | None = None  # the step that is about to commit
        self.committed = False  # this claim has committed the task
        self.discarding = False  # what earlier claims made is removed; one event tells it
        self._waiting: collections.deque[Event] = collections.deque()  # without a lock

    def tell(self, kind: Kind, step: str | None = None, **detail: typing.Any) -> None:
        """Note an event of this moment."""
        if kind == Kind.STEP_BEGUN and step is not None:
            self.begun.add(step)
        self._waiting.append(Event(kind, step, detail))

    def at_commit(self) -> list[Event]:
        """What the commit of the task tells: its step is done, and the task has succeeded."""
        done = [] if self.committing is None else [Event(Kind.STEP_DONE, self.committing)]
        return [*done, Event(Kind.SUCCESS)]

    @property
    def due(self) -> bool:
        """Whether the next write must write them."""
        return any(event.kind != Kind.STEP_BEGUN for event in list(self._waiting))

    def take(self, *others: Event, everything: bool = False) -> list[Event]:
        """The events that a write must write, in order; it puts them back if it fails.

        others      events of the write itself, which come last
        everything  also if nothing but the begin of steps waits
        """
        if not (others or everything or self.due):
            return []
        taken: list[Event] = []
        try:
            while True:  # another thread of the run may take them, too
                taken.append(self._waiting.popleft())
        except IndexError:
            return [*taken, *others]

    def put_back(self, taken: collections.abc.Sequence[Event]) -> None:
        """These events could not be written, as far as this process knows."""
        self._waiting.extendleft(reversed(taken))
        self.doubtful = True
