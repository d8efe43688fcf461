"""The sort order and the filters of GET /v2/images."""

import collections.abc
import typing

from glance.api import query
from glance.api.settings import Settings
from glance.domain import errors
from glance.domain.image import RESERVED, RESERVED_PREFIX, VISIBILITIES
from glance.domain.listing import Listing

# Fields that a query may compare with one value, or with a list of values: in:a,b
VALUE_FIELDS = ('id', 'name', 'status', 'container_format', 'disk_format')
# Fields that a query may compare with one value only.
EQUAL_FIELDS = ('owner', 'checksum', 'os_hash_algo', 'os_hash_value')
# The largest value of each field that a query compares with a number.
NUMBER_FIELDS = {
    'size': query.LARGEST_SIZE,
    'size_min': query.LARGEST_SIZE,
    'size_max': query.LARGEST_SIZE,
    'virtual_size': query.LARGEST_SIZE,
    'min_disk': 2**31 - 1,
    'min_ram': 2**31 - 1,
}
SORT_KEYS = (*VALUE_FIELDS, 'size', 'created_at', 'updated_at')
DIRECTIONS = ('asc', 'desc')
# Fields of the query string that are not filters.
PAGING = ('limit', 'marker', 'sort', 'sort_key', 'sort_dir')
MEMBER_STATUSES = ('pending', 'accepted', 'rejected', 'all')


def read(fields: query.Query, settings: Settings) -> Listing:
    """The page that a query string asks for. Raises Invalid."""
    return Listing(
        limit=fields.limit(settings),
        marker=fields.marker(),
        sort=_sort(fields),
        filters=_filters(fields),
    )


def _sort(fields: query.Query) -> tuple[tuple[str, str], ...]:
    """The (key, direction) pairs of "sort", or of "sort_key" and "sort_dir"."""
    short, keys, directions = (fields.all(name) for name in ('sort', 'sort_key', 'sort_dir'))
    if short and (keys or directions):
        raise errors.Invalid('"sort" cannot be used together with "sort_key" or "sort_dir".')
    if short:
        parts = [part.partition(':') for part in ','.join(short).split(',')]
        pairs = [
            (key.strip(), direction.strip() if colon else 'desc')
            for key, colon, direction in parts
        ]
    else:
        keys = keys or ['created_at']
        directions = directions or ['desc']
        if len(directions) not in (1, len(keys)):
            raise errors.Invalid(
                '"sort_dir" must be given once, or once for each "sort_key"; there are '
                f'{len(keys)} keys and {len(directions)} directions.'
            )
        if len(directions) == 1:
            directions = directions * len(keys)
        pairs = list(zip(keys, directions, strict=True))
    for key, direction in pairs:
        if key not in SORT_KEYS:
            raise errors.Invalid(
                f'A sort key must be one of {", ".join(SORT_KEYS)}, not "{key[:80]}".'
            )
        if direction not in DIRECTIONS:
            raise errors.Invalid(f'A sort direction must be asc or desc, not "{direction[:80]}".')
    unique: dict[str, str] = {}  # only the first direction of a repeated key has an effect
    for key, direction in pairs:
        unique.setdefault(key, direction)
    return tuple(unique.items())


def _filters(fields: query.Query) -> dict[str, typing.Any]:
    """A name that is no base field is the name of a free property."""
    filters: dict[str, typing.Any] = {'os_hidden': False}
    properties: dict[str, str] = {}
    for name in fields.names:
        if name in PAGING:
            continue
        rule = _RULES.get(name)
        if rule is None and (name in RESERVED or name.startswith(RESERVED_PREFIX)):
            raise errors.Invalid(f'Images cannot be filtered by "{name[:80]}".')
        if rule is None:
            properties[name] = fields.one(name)
        else:
            filters |= rule(fields, name)
    return filters | ({'properties': properties} if properties else {})


def _one_or_several(fields: query.Query, name: str) -> dict[str, typing.Any]:
    value = fields.one(name)
    if value.startswith('in:'):
        return {name: query.parse_list(name, value[3:])}
    comparison, value = query.parse_comparison(value)
    if comparison != 'eq':
        raise errors.Invalid(
            f'"{name}" can be filtered by a value or by in:, not by {comparison}:.'
        )
    return {name: value}


def _equal(fields: query.Query, name: str) -> dict[str, typing.Any]:
    return {name: fields.one(name)}


def _visibility(fields: query.Query, name: str) -> dict[str, typing.Any]:
    return {name: fields.choice(name, (*VISIBILITIES, 'all'))}


def _member_status(fields: query.Query, name: str) -> dict[str, typing.Any]:
    fields.choice(name, MEMBER_STATUSES)
    return {}  # images cannot be shared with members yet


def _hidden(fields: query.Query, name: str) -> dict[str, typing.Any]:
    value = fields.one(name)
    if value.lower() not in ('true', 'false'):
        raise errors.Invalid(f'"{name}" must be true or false, not "{value[:80]}".')
    return {name: value.lower() == 'true'}


def _protected(fields: query.Query, name: str) -> dict[str, typing.Any]:
    return {name: fields.choice(name, ('true', 'false')) == 'true'}


def _tags(fields: query.Query, name: str) -> dict[str, typing.Any]:
    return {name: fields.all(name)}


def _number(fields: query.Query, name: str) -> dict[str, typing.Any]:
    return {name: fields.number(name, NUMBER_FIELDS[name])}


def _time(fields: query.Query, name: str) -> dict[str, typing.Any]:
    comparison, value = query.parse_comparison(fields.one(name))
    return {name: (comparison, query.parse_time(name, value))}


def _refused(instead: str) -> collections.abc.Callable[[query.Query, str], typing.NoReturn]:
    def refuse(fields: query.Query, name: str) -> typing.NoReturn:
        raise errors.Invalid(f'Images cannot be filtered by "{name}"; use {instead} instead.')

    return refuse


_RULES: dict[str, collections.abc.Callable[[query.Query, str], dict[str, typing.Any]]] = {
    **dict.fromkeys(VALUE_FIELDS, _one_or_several),
    **dict.fromkeys(EQUAL_FIELDS, _equal),
    **dict.fromkeys(NUMBER_FIELDS, _number),
    'visibility': _visibility,
    'member_status': _member_status,
    'os_hidden': _hidden,
    'protected': _protected,
    'tag': _tags,
    'created_at': _time,
    'updated_at': _time,
    'tags': _refused('"tag"'),
    'changes-since': _refused('"updated_at=gte:"'),
}
