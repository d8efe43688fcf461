"""Pages of records that are kept in memory."""

import collections.abc
import datetime
import typing

from glance.domain import errors
from glance.domain.listing import Listing


class Record(typing.Protocol):
    """What tasks and images have in common."""

    id: str
    created_at: datetime.datetime


R = typing.TypeVar('R', bound=Record)


def page_of(records: collections.abc.Iterable[R], listing: Listing) -> list[R]:
    """The records of one page. Raises Invalid for a marker that is not among the records.

    It knows filters by equality and by a list of values.
    """
    found = list(records)
    keys = list(listing.sort)
    keys += [(key, keys[-1][1] if keys else 'desc') for key in ('created_at', 'id')]
    for key, direction in reversed(keys):
        found.sort(key=lambda record: _rank(record, key), reverse=direction == 'desc')
    if listing.marker is not None:
        ids = [record.id for record in found]
        if listing.marker not in ids:
            raise errors.Invalid(f'"marker" {listing.marker} is not an item of this list.')
        found = found[ids.index(listing.marker) + 1 :]
    return [record for record in found if _matches(record, listing.filters)][: listing.limit]


def _rank(record: Record, key: str) -> tuple[bool, typing.Any]:
    value = getattr(record, key)
    return value is not None, value  # None is before everything


def _matches(record: Record, filters: collections.abc.Mapping[str, typing.Any]) -> bool:
    return all(
        getattr(record, key) in wanted
        if isinstance(wanted, list)
        else getattr(record, key) == wanted
        for key, wanted in filters.items()
    )
