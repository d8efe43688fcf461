"""TaskFlow's persistence interface, reduced to the part that an engine needs.

An engine writes each change of state of each atom. A later claim only needs to
know which steps have succeeded, and what they returned.
"""

import collections.abc
import typing

from taskflow import states
from taskflow.persistence import base

# Classes of taskflow.persistence.models, which has no types and belongs to other rooms.
AtomDetail = typing.Any
FlowDetail = typing.Any


class _Step(typing.Protocol):
    """What a logbook needs to know of a step (glance.interfaces.flow.Step)."""

    name: str
    commits: bool


class _Flow(typing.Protocol):
    """What a logbook needs to know of a flow (glance.interfaces.flow.Flow)."""

    def all_steps(self) -> collections.abc.Sequence[_Step]: ...


class Logbook(base.Backend):  # type: ignore[misc]
    """Writes nothing: the engine's own objects are the logbook (persistence = memory).

    TaskFlow's memory backend copies each detail on each change, which costs
    more than the steps of a small import.
    """

    def __init__(self) -> None:
        super().__init__({})
        self._connection = _Connection(self)

    def get_connection(self) -> '_Connection':
        return self._connection

    def close(self) -> None:
        pass

    def load(self, flow: typing.Any) -> FlowDetail | None:
        """The FlowDetail of an earlier claim with its finished steps, or None."""
        return None

    def results(self) -> dict[str, typing.Any] | None:
        """What finished steps have returned, by the name of the step; None before the first.

        Only a logbook that several processes share has this.
        """
        raise NotImplementedError

    def begin(self) -> None:
        """Write what has to be there before another process saves a step."""

    def note_sent(self, step: str, worker: str, sending: str) -> None:
        """Write that a worker is to do a step, before it is sent there."""

    def note_saved(self, name: str) -> None:
        """Another process has saved this step."""

    def ended(self, atom: AtomDetail) -> None:
        """A step has succeeded; atom is its detail. May be called more than once for it."""


class PersistentLogbook(Logbook):
    """Saves each finished step once. A subclass says how: save(atom).

    Steps that commit are not saved: their commit shows that they have finished.
    """

    def __init__(self, flow: _Flow) -> None:
        super().__init__()
        self._not_saved = frozenset(step.name for step in flow.all_steps() if step.commits)
        self._saved: set[str] = set()

    @property
    def finished(self) -> int:
        """How many steps are saved."""
        return len(self._saved)

    def ended(self, atom: AtomDetail) -> None:
        if atom.name not in self._saved and atom.name not in self._not_saved:
            self.save(atom)
            self._saved.add(atom.name)

    def note_saved(self, name: str) -> None:
        self._saved.add(name)

    def note_loaded(self, detail: FlowDetail) -> None:
        """The steps of this FlowDetail are saved already."""
        self._saved.update(atom.name for atom in detail)

    def save(self, atom: AtomDetail) -> None:
        """Write a finished step."""
        raise NotImplementedError


class _Connection(base.Connection):  # type: ignore[misc]
    """Returns each changed detail as it is, and notes the atoms that have succeeded."""

    def __init__(self, backend: Logbook) -> None:
        self._backend = backend

    @property
    def backend(self) -> Logbook:
        return self._backend

    def update_flow_details(self, flow_detail: FlowDetail) -> FlowDetail:
        return flow_detail

    def update_atom_details(self, atom_detail: AtomDetail) -> AtomDetail:
        if atom_detail.state == states.SUCCESS:
            self._backend.ended(atom_detail)
        return atom_detail

    def close(self) -> None:
        pass

    def _not_asked(self, *_args: object, **_options: object) -> typing.NoReturn:
        raise NotImplementedError('An engine does not need this.')

    upgrade = validate = clear_all = save_logbook = destroy_logbook = _not_asked
    get_logbook = get_logbooks = get_flows_for_book = get_flow_details = _not_asked
    get_atom_details = get_atoms_for_flow = _not_asked
