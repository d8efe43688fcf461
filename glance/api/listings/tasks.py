"""The sort order and the filters of GET /v2/tasks."""

import collections.abc
import typing

from glance.api import query
from glance.api.settings import Settings
from glance.domain import errors
from glance.domain.listing import Listing
from glance.domain.task import Status

TIMES = ('created_at', 'updated_at', 'expires_at')
IDS = ('id', 'image_id', 'request_id', 'user_id', 'retry_of')
COLUMNS = (*IDS, 'type', 'status', 'owner', *TIMES)
# Other fields and columns of a task. Names that are neither have no effect, as in Glance.
NO_FILTERS = (
    *('input', 'result', 'message', 'progress', 'steps'),
    *('self', 'schema', 'deleted', 'deleted_at'),
    *('cancelled', 'cancelled_at', 'cancelled_by', 'cancel_reason'),
)


def read(fields: query.Query, settings: Settings, types: collections.abc.Sequence[str]) -> Listing:
    """The page that a query string asks for. Raises Invalid.

    types  the task types by which a client may filter
    """
    return Listing(
        limit=fields.limit(settings),
        marker=fields.marker(),
        sort=(
            (
                fields.choice('sort_key', COLUMNS, 'created_at'),
                fields.choice('sort_dir', ('asc', 'desc'), 'desc'),
            ),
        ),
        filters=_filters(fields, types),
    )


def _filters(fields: query.Query, types: collections.abc.Sequence[str]) -> dict[str, typing.Any]:
    filters: dict[str, typing.Any] = {}
    for name in fields.names:
        if name == 'status':
            filters[name] = fields.choice(name, tuple(Status))
        elif name == 'type':
            filters[name] = fields.choice(name, tuple(types))
        elif name in TIMES:
            filters[name] = query.parse_time(name, fields.one(name))
        elif name in COLUMNS:
            filters[name] = fields.one(name)
        elif name in NO_FILTERS:
            raise errors.Invalid(f'Tasks cannot be filtered by "{name}".')
    return filters
