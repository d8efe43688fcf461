"""Writes that change what fakes keep in memory."""

import collections.abc
import dataclasses

from glance.domain.lease import Lease
from glance.interfaces.writes import Write, WrongWrite


@dataclasses.dataclass(frozen=True)
class FakeWrite(Write):
    """A write whose change is a function, which raises if it cannot be made."""

    change: collections.abc.Callable[[], None]
    lease: Lease | None = None


def apply(given: collections.abc.Iterable[Write], lease: Lease | None) -> None:
    """Apply these writes for a lease, or for a POST. Raises WrongWrite before any change."""
    accepted = []
    for write in given:
        if not isinstance(write, FakeWrite) or write.lease not in (None, lease):
            raise WrongWrite(f'{write} cannot be applied for {lease}.')
        accepted.append(write)
    for write in accepted:
        write.change()
