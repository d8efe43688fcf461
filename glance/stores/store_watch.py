"""Which stores this process can reach, and which folders they have."""

import collections.abc
import time
import typing

from glance import native_threads
from glance.interfaces.store import ImageStore

PATIENCE = 3.0  # seconds; a disk that has not answered for so long cannot be reached


class StoreWatch:
    """Looks at each store in native threads, because a disk that is away may answer never.

    stores     by name
    folder_id  folder_id(name): the id of the folder of a store; None if it has none. Waits for
               the disk
    pool       of native threads; one of its own by default, with a thread for each store
    """

    def __init__(
        self,
        stores: collections.abc.Mapping[str, ImageStore],
        folder_id: collections.abc.Callable[[str], str | None] = lambda name: None,
        *,
        pool: typing.Any = None,
        clock: collections.abc.Callable[[], float] = time.monotonic,
    ) -> None:
        self._stores = stores
        self._folder_id = folder_id
        self._folders: dict[str, str | None] | None = None
        self._pool = pool or native_threads.NativePool(max(1, len(stores)), 'stores')
        self._clock = clock
        self._looks: dict[str, tuple[typing.Any, float]] = {}  # by store: (future, since when)
        self._reachable = set(stores)  # they were there when they were opened

    def reachable(self) -> list[str]:
        """The stores that the last look has found. Begins the next look; does not wait."""
        now = self._clock()
        for name, store in self._stores.items():
            look, since = self._looks.get(name, (None, now))
            if look is not None and not look.done():
                if now - since > PATIENCE:
                    self._reachable.discard(name)
                continue
            if look is not None:
                self._note(name, look)
            self._looks[name] = self._pool.submit(self._look, name, store), now
        return [name for name in self._stores if name in self._reachable]

    def folders(self) -> dict[str, str]:
        """By store, the ids of the folders that the last look has found.

        The first call looks itself, and so waits for disks: they were there a moment ago.
        """
        if self._folders is None:
            self._folders = {name: self._folder_id(name) for name in self._stores}
        return {name: found for name, found in self._folders.items() if found is not None}

    def look(self) -> dict[str, str]:
        """Begin the next look, and return what folders() returns."""
        found = self.folders()
        self.reachable()
        return found

    def _look(self, name: str, store: ImageStore) -> tuple[bool, str | None]:
        return store.is_reachable(), self._folder_id(name)

    def _note(self, name: str, look: typing.Any) -> None:
        folder = None
        try:
            found, folder = look.result()
        except Exception:  # of whatever kind: stores have many
            found = False
        if self._folders is not None:
            self._folders[name] = folder if found else None
        (self._reachable.add if found else self._reachable.discard)(name)
