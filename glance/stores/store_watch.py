"""Which stores a worker can reach."""

import collections.abc
import time
import typing

from glance import native_threads
from glance.interfaces.store import ImageStore

PATIENCE = 3.0  # seconds; a disk that has not answered for so long cannot be reached


class StoreWatch:
    """Looks at each store in native threads, because a disk that is away may answer never.

    stores  by name
    pool    of native threads; one of its own by default, with a thread for each store
    """

    def __init__(
        self,
        stores: collections.abc.Mapping[str, ImageStore],
        *,
        pool: typing.Any = None,
        clock: collections.abc.Callable[[], float] = time.monotonic,
    ) -> None:
        self._stores = stores
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
            self._looks[name] = self._pool.submit(store.is_reachable), now
        return [name for name in self._stores if name in self._reachable]

    def _note(self, name: str, look: typing.Any) -> None:
        try:
            found = look.result()
        except Exception:  # of whatever kind: stores have many
            found = False
        (self._reachable.add if found else self._reachable.discard)(name)
