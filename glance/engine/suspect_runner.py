"""Runs suspects in child processes, one child at a time, and learns from their deaths.

glance.domain.suspects tells what a suspect is. The child claims, renews and writes
under a name of its own (its program is glance.cmd.suspects). Its parent made that
name and holds the lock of its file too, so that nobody finds the child dead before
the parent has judged its death.

All processes of a host find the same suspects at the same time. So they take turns:
one starts a child, and the others look again when that has claimed what waits.
"""

import contextlib
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

LOG = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between two looks for suspects while there is no child
CHILD_INTERVAL = 0.2  # seconds between two looks whether the child still lives
# Seconds that a child gets to end after these signals, in this order.
ENDS = {signal.SIGTERM: 3.0, signal.SIGKILL: 1.0}
FAILED_PAUSE = 60.0  # seconds until the next child, after one that could not be used


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


class SuspectRunner:
    """One thread that starts a child whenever suspects wait, and waits for its end."""

    def __init__(self, queue: TaskQueue, children: Children) -> None:
        self._queue = queue
        self._children = children
        self._child: Child | None = None
        self._stopping = threading.Event()
        self._sent: set[int] = set()  # the signals that the child got from here
        self._thread: StandingThread | None = None
        queue.suspects_here = False

    def start(self) -> None:
        self._thread = StandingThread('suspects', self._loop)
        self._thread.start()

    def reload(self) -> None:
        """Let the child read the configuration again."""
        if self._child is not None:
            self._sent.add(signal.SIGHUP)  # ends a child that has only begun to start
            self._child.send_signal(signal.SIGHUP)

    def stop(self, grace: float) -> None:
        """Start no more children. Waits up to grace seconds for the child, then ends it."""
        self._stopping.set()
        if self._thread is None:
            return
        self._thread.join(min(grace, MAX_WAIT))
        for number, seconds in ENDS.items():
            child = self._child
            if child is not None:
                self._sent.add(number)
                child.send_signal(number)
                self._thread.join(seconds)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            pause = INTERVAL
            try:
                with contextlib.ExitStack() as turn:
                    is_ours = turn.enter_context(self._children.turn())
                    waiting = self._queue.suspects() if is_ours else []
                    if waiting:
                        self._run(SuspectGroup.of(*waiting[0]), turn)
            except errors.DatabaseUnavailable:
                pause = OUTAGE_PAUSE
            except OSError as error:
                if own_lack.is_one(error):
                    LOG.warning(
                        'A process for suspect tasks cannot be started yet: %s',
                        error.strerror,
                        extra={'action': 'own_lack'},
                    )
                    self._stopping.wait(pause)
                    continue
                LOG.error(
                    'No process for suspect tasks can be used: %s. They run here, one at a time',
                    error,
                    extra={'action': 'child_failed'},
                )
                self._queue.suspects_here = True
                pause = FAILED_PAUSE
            except Exception:
                LOG.exception('Running suspect tasks failed; trying again')
            self._stopping.wait(pause)

    def _run(self, group: SuspectGroup, turn: contextlib.ExitStack) -> None:
        """Run a group in a child, to the end of the child. Raises OSError if that is no use.

        turn  ends as soon as the child has claimed its tasks
        """
        self._sent = set()
        self._child = child = self._children.start(group)
        self._queue.suspects_here = False
        LOG.info(
            'Process %s runs up to %s tasks whose processes died %s times in a row',
            child.pid,
            group.size,
            group.deaths,
            extra={'action': 'child_started'},
        )
        try:
            has_claimed = False
            while (status := child.poll()) is None:
                if not has_claimed and self._has_claimed(child):
                    has_claimed = True
                    turn.close()
                time.sleep(CHILD_INTERVAL)
            self._child = None
            if status > 0:
                raise OSError(f'process {child.pid} ended with status {status}')
            if status < 0 and -status not in self._sent:
                self._judge(child, signal.Signals(-status))
        finally:
            child.close()

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
