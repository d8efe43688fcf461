"""What a type of task consists of: its steps, in order."""

import abc
import collections.abc
import dataclasses
import typing

from glance.domain.lease import Lease
from glance.domain.leftover import Leftover
from glance.domain.place import ANYWHERE, Place

Work = dict[str, typing.Any]  # plain data (JSON) that decides the result of a task


class Step(abc.ABC):
    """One thing that a flow does, with its undo. It holds no state.

    do() and undo() get their arguments by name. The names are those of the work of
    the entry, 'lease', 'predecessor' (the last holder of the task if it did not
    hand the task back, else None), and what earlier steps provide. A parameter
    with a default may be missing there. Both methods may run twice: a process can
    die after a step and before it is saved.
    """

    name: str  # lower case with hyphens; a run is resumed by the names of its steps
    provides: str | None = None  # the name by which later steps get what do() returns
    weight: float = 1  # its share of the task, compared with the other steps, for its progress
    moves_bytes = False  # whether workers do it in worker-based mode; then do() returns JSON
    commits = False  # do() records the outcome of the task, so the step need not be saved

    @abc.abstractmethod
    def do(self, *args: typing.Any, **needs: typing.Any) -> typing.Any:
        """Do it. After an exception, this step and all earlier ones are undone."""

    def undo(self, *args: typing.Any, **needs: typing.Any) -> None:
        """Undo what do() did or began to do.

        May raise: then it is tried again. If it fails for good, what leftovers()
        names is recorded, and the earlier steps are undone all the same.
        """

    def leftovers(
        self, *args: typing.Any, **needs: typing.Any
    ) -> collections.abc.Iterable[Leftover]:
        """What the sweeper must remove if undo() failed for good. Arguments as in undo()."""
        return ()

    def place(self, values: collections.abc.Mapping[str, typing.Any]) -> Place:
        """Where do() can be done. A step that moves_bytes goes to a worker at such a place.

        values  the work, and what do() takes of the results of earlier steps
        """
        return ANYWHERE

    def is_reusable(self, given: typing.Any) -> bool:
        """Whether the result of do() in an earlier claim can still be used here.

        given  what do() returned, after a round trip through JSON
        """
        return True


class Group(tuple[Step, ...]):
    """Steps of a flow that may run at the same time. None needs what another returns."""


@dataclasses.dataclass(frozen=True)
class Flow:
    """The ordered steps of one type of task.

    version  increases when steps are added, removed, renamed or reordered, and when
             they need other work
    discard  discard(lease, work) removes everything that a task of this type
             owns, wherever its runs ended; idempotent, raises only Drops
    cleanup  cleanup(lease) removes what only the run needed, once the outcome is
             recorded; idempotent, raises only Drops
    upgrade  upgrade(work, version) returns the work of this version, for a task
             that was posted with an older one. Without it, steps get the old work
    """

    type: str
    version: int
    steps: tuple[Step | Group, ...]
    discard: collections.abc.Callable[[Lease, Work], None]
    cleanup: collections.abc.Callable[[Lease], None]
    upgrade: collections.abc.Callable[[Work, int], Work] = lambda work, version: work

    def all_steps(self) -> list[Step]:
        """All steps in order; those of a group follow one another."""
        return [
            step for item in self.steps for step in (item if isinstance(item, Group) else (item,))
        ]

    def provided(self) -> list[str]:
        """The names of the values that steps provide for later ones."""
        return [step.provides for step in self.all_steps() if step.provides]

    def resumable_steps(self, given: collections.abc.Mapping[str, typing.Any]) -> list[str]:
        """The names of the finished steps that a resumed run need not do again, in order.

        given  what finished steps returned, by the name of the step

        A step is done again if it has not finished or its result is not reusable.
        So are all steps after it, because they used its result. Steps of one group
        do not use the results of each other.
        """
        names: list[str] = []
        for item in self.steps:
            steps = item if isinstance(item, Group) else (item,)
            reusable = [
                step.name
                for step in steps
                if step.name in given and step.is_reusable(given[step.name])
            ]
            names += reusable
            if len(reusable) < len(steps):
                break
        return names
