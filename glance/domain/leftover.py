"""Data that a task could not remove. The sweeper finds and removes it later."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Leftover:
    """Data that belongs to no task any more.

    kind     'location': bytes in a store; 'staging': a folder; 'image': a record;
             plug-ins may add kinds
    address  the URL, path or id of the data
    store    the name of the store, for a location
    """

    kind: str
    address: str
    store: str | None = None
