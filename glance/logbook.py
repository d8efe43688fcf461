"""TaskFlow's persistence interface, as little of it as an engine needs.

An engine writes each change of state of each atom; of use to a later claim is
only that a step has ended well, and what it gave.
"""

from taskflow import states
from taskflow.persistence import base


class Logbook(base.Backend):
    """Keeps nothing: the engine's own objects are the logbook (persistence = memory).

    TaskFlow's memory backend copies each detail on each change, which costs
    more than the steps of a small import.
    """

    def __init__(self):
        super().__init__({})
        self._connection = _Connection(self)

    def get_connection(self):
        return self._connection

    def close(self):
        pass

    def recall(self, flow):
        """The FlowDetail of an earlier claim with its finished steps, or None."""

    def ended(self, atom):
        """A step has ended well; atom is its detail. May be said more than once."""


class Remembering(Logbook):
    """Has each finished step remembered once: a subclass says how, remember(atom).

    Steps that commit need no remembering: what they commit says that they ended.
    """

    def __init__(self, flow):
        super().__init__()
        self._unremembered = frozenset(step.name for step in flow.each() if step.commits)
        self._remembered = set()

    @property
    def finished(self):
        """How many steps are remembered."""
        return len(self._remembered)

    def ended(self, atom):
        if atom.name not in self._remembered and atom.name not in self._unremembered:
            self.remember(atom)
            self._remembered.add(atom.name)

    def recalled(self, detail):
        """These steps are remembered already."""
        self._remembered.update(atom.name for atom in detail)

    def remember(self, atom):
        raise NotImplementedError


class _Connection(base.Connection):
    """Answers each change with what it was given."""

    def __init__(self, backend):
        self._backend = backend

    @property
    def backend(self):
        return self._backend

    def update_flow_details(self, flow_detail):
        return flow_detail

    def update_atom_details(self, atom_detail):
        if atom_detail.state == states.SUCCESS:
            self._backend.ended(atom_detail)
        return atom_detail

    def close(self):
        pass

    def _not_asked(self, *_args, **_options):
        raise NotImplementedError('An engine does not ask for this.')

    upgrade = validate = clear_all = save_logbook = destroy_logbook = _not_asked
    get_logbook = get_logbooks = get_flows_for_book = get_flow_details = _not_asked
    get_atom_details = get_atoms_for_flow = _not_asked
