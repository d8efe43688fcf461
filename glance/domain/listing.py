"""The page of a list that a caller asks for."""

import dataclasses
import typing


@dataclasses.dataclass(frozen=True)
class Listing:
    """One page, in a stable order; ties are broken by created_at, then id.

    limit    rows at most, 0 or more
    marker   id of the last row of the page before, or None
    sort     (key, 'asc' or 'desc') pairs, most significant first
    filters  column name to a value, or to a list of values, any of which matches
    """

    limit: int
    marker: str | None = None
    sort: tuple[tuple[str, str], ...] = (('created_at', 'desc'),)
    filters: dict[str, typing.Any] = dataclasses.field(default_factory=dict)
