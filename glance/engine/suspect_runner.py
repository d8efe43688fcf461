"""Runs suspects in child processes, and learns from their deaths.

glance.domain.suspects tells what a suspect is. The child claims, renews and writes
under a name of its own (its program is glance.cmd.suspects). Its parent made that
name and holds the lock of its file too, so that nobody finds the child dead before
the parent has judged its death.

All processes of a host find the same suspects at the same time. So they take turns:
one starts a child, and the others look again when that has claimed what waits.

Most children end within seconds. One that lives on mostly waits for a source that does
not send, for minutes maybe. Other suspects do not wait for it: the next child is started
beside it. Each child has its own tasks, so its death says the same as if it were the only one.
"""

import collections.abc
import contextlib
import dataclasses
import logging
import signal
import threading
import time
import typing

from glance.domain import errors, own_lack
from glance.domain.suspects import SuspectGroup
from glance.engine.active_runs import MAX_WAIT
from glance.engine.lease_policy import OUTAGE_PAUSE
from glance.interfaces.queue import TaskQueue
from glance.threads import StandingThread

Parameters = typing.ParamSpec('Parameters')

LOG = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between two looks for suspects while there is no child
CHILD_INTERVAL = 0.2  # seconds between two looks whether the child still lives
# Seconds that a child gets to end after these signals, in this order.
ENDS = {signal.SIGTERM: 3.0, signal.SIGKILL: 1.0}
FAILED_PAUSE = 60.0  # seconds until the next child, after one that could not be used
# Seconds after the claim of its tasks in which a child stays the only one: the machine may have
# no room for more, and within this time a task either ends, gets further or kills the child.
ALONE_TIME = 5.0
MOST_CHILDREN = 4  # that one process has at a time; each takes about 80 MiB of memory


class Child(typing.Protocol):
    """A process that runs one group of suspects. holder is the name under which it does."""

    pid: int
    holder: str

    def poll(self) -> int | None:
        """The exit status; minus the number of the signal that ended it; None if it lives."""

    def send_signal(self, number: int) -> None:
        """Send a signal; does nothing to a process that has ended."""

    def close(self) -> None:
        """Unlock its name, so that its tasks count as those of a dead process."""


class Children(typing.Protocol):
    """Starts children."""

    def turn(self) -> contextlib.AbstractContextManager[bool]:
        """Whether it is the turn of this process to start a child, to the end of the block."""

    def start(self, group: SuspectGroup) -> Child:
        """A child that runs this group. Raises OSError."""


@dataclasses.dataclass
class _Running:
    """A child that has been started.

    turn        of this process to start a child; it ends when this one has claimed its tasks
    claimed_at  time.monotonic() at which that was noticed; None: not yet
    sent        the signals that it got from here
    """

    child: Child
    turn: contextlib.ExitStack
    claimed_at: float | None = None
    sent: set[int] = dataclasses.field(default_factory=set)

    def send_signal(self, number: int) -> None:
        self.sent.add(number)
        self.child.send_signal(number)


class SuspectRunner:
    """One thread that starts children while suspects wait, and waits for their ends.

    alone_time  seconds after the claim of its tasks in which a child stays the only one
    """

    def __init__(
        self, queue: TaskQueue, children: Children, *, alone_time: float = ALONE_TIME
    ) -> None:
        self._queue = queue
        self._children = children
        self._alone_time = alone_time
        self._running: list[_Running] = []
        self._next_look = 0.0  # time.monotonic() before which no child is started
        self._stopping = threading.Event()
        self._thread: StandingThread | None = None
        queue.suspects_here = False

    def start(self) -> None:
        self._thread = StandingThread('suspects', self._loop)
        self._thread.start()

    def reload(self) -> None:
        """Let the children read the configuration again."""
        for running in list(self._running):
            running.send_signal(signal.SIGHUP)  # ends a child that has only begun to start

    def stop(self, grace: float) -> None:
        """Start no more children. Waits up to grace seconds for the others, then ends them."""
        self._stopping.set()
        if self._thread is None:
            return
        self._thread.join(min(grace, MAX_WAIT))
        for number, seconds in ENDS.items():
            for running in list(self._running):
                running.send_signal(number)
            self._thread.join(seconds)

    def _loop(self) -> None:
        while self._running or not self._stopping.is_set():
            for running in list(self._running):
                self._guarded(self._tend, running)
            if self._has_room() and time.monotonic() >= self._next_look:
                self._next_look = time.monotonic() + INTERVAL
                self._guarded(self._start_child)
            if self._running:
                time.sleep(CHILD_INTERVAL)
            else:
                self._stopping.wait(max(0.0, self._next_look - time.monotonic()))

    def _guarded(
        self,
        work: collections.abc.Callable[Parameters, None],
        *args: Parameters.args,
        **values: Parameters.kwargs,
    ) -> None:
        """Do a part of the loop, which goes on whatever error it raises."""
        try:
            work(*args, **values)
        except errors.DatabaseUnavailable:
            self._next_look = time.monotonic() + OUTAGE_PAUSE
        except OSError as error:
            if own_lack.is_one(error):
                LOG.warning(
                    'A process for suspect tasks cannot be started yet: %s',
                    error.strerror,
                    extra={'action': 'own_lack'},
                )
                return
            LOG.error(
                'No process for suspect tasks can be used: %s. They run here, one at a time',
                error,
                extra={'action': 'child_failed'},
            )
            self._queue.suspects_here = True
            self._next_look = time.monotonic() + FAILED_PAUSE
        except Exception:
            LOG.exception('Running suspect tasks failed; trying again')

    def _has_room(self) -> bool:
        """Whether a child may be started beside those there are."""
        if self._stopping.is_set() or len(self._running) >= MOST_CHILDREN:
            return False
        begun = time.monotonic() - self._alone_time
        return all(
            running.claimed_at is not None and running.claimed_at <= begun
            for running in self._running
        )

    def _start_child(self) -> None:
        """Start a child if suspects wait. Raises OSError if it cannot be started."""
        with contextlib.ExitStack() as turn:
            is_ours = turn.enter_context(self._children.turn())
            waiting = self._queue.suspects() if is_ours else []
            if not waiting:
                return
            group = SuspectGroup.of(*waiting[0])
            child = self._children.start(group)
            self._running.append(_Running(child, turn.pop_all()))
        self._queue.suspects_here = False
        LOG.info(
            'Process %s runs up to %s tasks whose processes died %s times in a row',
            child.pid,
            group.size,
            group.deaths,
            extra={'action': 'child_started'},
        )

    def _tend(self, running: _Running) -> None:
        """See what a child does. Raises OSError if it was no use."""
        child = running.child
        status = child.poll()
        if status is None:
            if running.claimed_at is None and self._has_claimed(child):
                running.claimed_at = time.monotonic()
                running.turn.close()
            return
        self._running.remove(running)
        try:
            if status > 0:
                raise OSError(f'process {child.pid} ended with status {status}')
            if status < 0 and -status not in running.sent:
                self._judge(child, signal.Signals(-status))
        finally:
            child.close()
            running.turn.close()

    def _has_claimed(self, child: Child) -> bool:
        try:
            return bool(self._queue.held(child.holder))
        except errors.DatabaseUnavailable:
            return False  # unknown

    def _judge(self, child: Child, number: signal.Signals) -> None:
        """Blame the task that was alone in a child that died."""
        held = [one.lease for one in self._queue.held(child.holder)]
        LOG.warning(
            'Process %s was ended by %s while it ran %s',
            child.pid,
            number.name,
            f'task {held[0].task_id}' if len(held) == 1 else f'{len(held)} tasks',
            extra={'action': 'child_died'},
        )
        if len(held) == 1:
            self._queue.blame(held[0], f'signal {number.value} ({number.name})')
