"""What a task could not remove, for the sweeper to find."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Leftover:
    """Something with an address that is nobody's any more.

    kind     'location': bytes in a store; 'staging': a folder; 'image': a record;
             plug-ins may have kinds of their own
    address  how to find it: URL, path or id
    store    for a location, the name of the store
    """

    kind: str
    address: str
    store: str | None = None
