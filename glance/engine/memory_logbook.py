"""TaskFlow's persistence, as little of it as an engine needs that will not be resumed."""

from taskflow.persistence import base


class MemoryLogbook(base.Backend):
    """Keeps nothing: the engine's own objects are the logbook.

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
        """Nothing: an earlier claim's steps are not known."""


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
        return atom_detail

    def close(self):
        pass

    def _not_asked(self, *_args, **_options):
        raise NotImplementedError('An engine does not ask for this.')

    upgrade = validate = clear_all = save_logbook = destroy_logbook = _not_asked
    get_logbook = get_logbooks = get_flows_for_book = get_flow_details = _not_asked
    get_atom_details = get_atoms_for_flow = _not_asked
