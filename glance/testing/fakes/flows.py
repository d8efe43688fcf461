"""Steps that a test holds, breaks or lets hang, and a flow made of them."""

import collections.abc
import math
import threading
import typing

from glance.domain import errors
from glance.domain.lease import Lease
from glance.domain.leftover import Leftover
from glance.interfaces.executor import RunControl
from glance.interfaces.flow import Flow, Group, Step
from glance.interfaces.queue import TaskQueue
from glance.testing.observed_queue import PATIENCE


class Gate:
    """What the steps of a test did, and a door that holds them."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self._lock = threading.Lock()
        self.done: list[tuple[str, str]] = []  # (task id, step name)
        self.undone: list[tuple[str, str]] = []
        self.inside = 0
        self.most_inside = 0
        self.entered = threading.Semaphore(0)
        self.breaks: dict[tuple[str, str], BaseException] = {}
        self.hangs: dict[tuple[str, str], float] = {}  # how often
        self.deaf: set[tuple[str, str]] = set()
        self._never = threading.Event()

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def break_in(self, task_id: str, step: str, error: BaseException | None = None) -> None:
        """Let a step of a task fail with this error."""
        self.breaks[task_id, step] = error or errors.TaskFailed('It broke on purpose.')

    def hang_in(
        self, task_id: str, step: str, *, times: float = math.inf, deaf: bool = False
    ) -> None:
        """Let a step of a task wait for ever; a deaf one cannot be interrupted either.

        An undo is called 'undo ' and the name of its step.
        """
        self.hangs[task_id, step] = times
        if deaf:
            self.deaf.add((task_id, step))

    def end_hanging(self) -> None:
        """Let go what hangs, so that the process can end."""
        self._never.set()

    def await_entered(self, count: int) -> None:
        """Return when this many more steps have come to the door. Raises TimeoutError."""
        for _ in range(count):
            if not self.entered.acquire(timeout=PATIENCE):
                raise TimeoutError(f'{self.inside} steps inside; more were expected.')

    def pass_through(self, task_id: str, step: str) -> None:
        with self._lock:
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
        self.entered.release()
        try:
            self._open.wait(PATIENCE)
            self.meet(task_id, step)
        finally:
            with self._lock:
                self.inside -= 1
        self.done.append((task_id, step))

    def meet(self, task_id: str, step: str) -> None:
        """What was told to happen to a step of a task happens."""
        if self.hangs.get((task_id, step), 0) > 0:
            self.hangs[task_id, step] -= 1
            self._hang(deaf=(task_id, step) in self.deaf)
        if (task_id, step) in self.breaks:
            raise self.breaks[task_id, step]

    def _hang(self, deaf: bool) -> None:
        while not self._never.is_set():
            try:
                self._never.wait()
            except BaseException:
                if not deaf:
                    raise


class GatedStep(Step):
    """A step that does nothing but pass a Gate; with last, it commits as well."""

    def __init__(
        self,
        name: str,
        gate: Gate,
        *,
        queue: TaskQueue | None = None,
        runs: collections.abc.Callable[[], RunControl] | None = None,
    ) -> None:
        self.name = name
        self.commits = queue is not None
        self._gate = gate
        self._queue = queue
        self._runs = runs

    def do(self, lease: Lease) -> None:
        self._gate.pass_through(lease.task_id, self.name)
        if self._runs is not None:
            self._runs().progress(lease)
        if self._queue is not None:
            self._queue.finish(lease, {})

    def undo(self, lease: Lease) -> None:
        self._gate.meet(lease.task_id, f'undo {self.name}')
        if self._runs is not None:
            self._runs().progress(lease)
        self._gate.undone.append((lease.task_id, self.name))

    def leftovers(self, lease: Lease) -> list[Leftover]:
        return [Leftover('thing', f'{lease.task_id}/{self.name}')]


def gated_flow(
    gate: Gate,
    queue: TaskQueue,
    *,
    group: int = 0,
    runs: collections.abc.Callable[[], RunControl] | None = None,
) -> Flow:
    """A flow 'test' of the steps first, second and last.

    group  how many steps that may run together take the place of second; 0: none
    runs   returns what the steps report their progress to; None: they do not report
    """
    second: Step | Group = GatedStep('second', gate, runs=runs)
    if group:
        second = Group(GatedStep(f'second-{number}', gate) for number in range(group))
    discarded = gate.undone

    def discard(lease: Lease, work: dict[str, typing.Any]) -> None:
        gate.meet(lease.task_id, 'discard')
        discarded.append((lease.task_id, 'discard'))

    def cleanup(lease: Lease) -> None:
        gate.meet(lease.task_id, 'cleanup')

    return Flow(
        'test',
        1,
        (GatedStep('first', gate), second, GatedStep('last', gate, queue=queue)),
        discard,
        cleanup,
    )
