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


class _Connection(base.Connection):
    """Answers each change with what it was given."""

    def __init__(self, backend):
        self._backend = backend

    @property
    def backend(self):
        return self._backend

    def close(self):
        pass

    def upgrade(self):
        pass

    def validate(self):
        pass

    def clear_all(self):
        pass

    def update_flow_details(self, flow_detail):
        return flow_detail

    def update_atom_details(self, atom_detail):
        return atom_detail

    def save_logbook(self, book):
        return book

    def destroy_logbook(self, book_uuid):
        pass

    def get_logbook(self, book_uuid, lazy=False):
        raise NotImplementedError('nothing is kept')

    def get_logbooks(self, lazy=False):
        return iter(())

    def get_flow_details(self, fd_uuid, lazy=False):
        raise NotImplementedError('nothing is kept')

    def get_flows_for_book(self, book_uuid, lazy=False):
        return iter(())

    def get_atom_details(self, ad_uuid):
        raise NotImplementedError('nothing is kept')

    def get_atoms_for_flow(self, fd_uuid):
        return iter(())
