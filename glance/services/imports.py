"""What an import task needs to be accepted."""

import typing

from glance import interfaces
from glance.domain import image, imports
from glance.domain.caller import Caller
from glance.domain.import_filter import ImportFilter


class Imports:
    """Makes the work of an import task out of its input.

    store  the name of the store that new images go to
    """

    def __init__(
        self,
        limits: image.Limits,
        import_filter: ImportFilter,
        resolver: interfaces.Resolver,
        *,
        store: str,
    ) -> None:
        self._limits = limits
        self._filter = import_filter
        self._resolver = resolver
        self._store = store

    def work(self, given: typing.Any, *, by: Caller) -> dict[str, typing.Any]:
        """The work of the entry, plain data; its image_id is the image to be made.

        Raises Invalid, Forbidden or TooLarge for the input, SourceRefused for
        an address that the import filter does not let pass.
        """
        work = imports.parse(given, self._limits, by=by, store=self._store)
        self._filter.check(work.import_from, self._resolver)
        return work.as_dict()
