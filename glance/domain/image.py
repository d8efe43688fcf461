"""The image: its record, its status machine, and what a caller may set."""

import collections.abc
import dataclasses
import datetime
import enum
import re
import typing

from glance.domain import errors


class Status(enum.StrEnum):
    QUEUED = 'queued'  # a record without bytes
    SAVING = 'saving'  # bytes are being uploaded
    UPLOADING = 'uploading'  # bytes are being staged
    IMPORTING = 'importing'  # a task is at work on it
    ACTIVE = 'active'  # the bytes can be read
    DEACTIVATED = 'deactivated'  # the bytes can be read by administrators
    KILLED = 'killed'
    PENDING_DELETE = 'pending_delete'
    DELETED = 'deleted'


NEXT = {
    Status.QUEUED: {
        Status.SAVING,
        Status.UPLOADING,
        Status.IMPORTING,
        Status.ACTIVE,
        Status.DELETED,
    },
    Status.SAVING: {Status.ACTIVE, Status.KILLED, Status.DELETED, Status.QUEUED},
    Status.UPLOADING: {Status.IMPORTING, Status.QUEUED, Status.DELETED},
    Status.IMPORTING: {Status.ACTIVE, Status.DELETED, Status.QUEUED},
    Status.ACTIVE: {Status.PENDING_DELETE, Status.DELETED, Status.DEACTIVATED},
    Status.DEACTIVATED: {Status.ACTIVE, Status.DELETED},
    Status.KILLED: {Status.DELETED},
    Status.PENDING_DELETE: {Status.DELETED, Status.ACTIVE},
    Status.DELETED: set(),
}

VISIBILITIES = ('public', 'private', 'shared', 'community')

RESERVED = frozenset(
    (
        'direct_url',
        'self',
        'file',
        'schema',
        'stores',
        'created_at',
        'updated_at',
        'status',
        'checksum',
        'size',
        'virtual_size',
        'os_hash_algo',
        'os_hash_value',
        'locations',
        'location',
        'deleted',
        'deleted_at',
        'created_by_task',
    )
)
RESERVED_PREFIX = 'os_glance'

LONGEST_NAME = 255
LARGEST_INTEGER = 2**31 - 1
UUID = re.compile('[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}')


@dataclasses.dataclass
class Image:
    """An image record. size and virtual_size are bytes; times are aware, in UTC."""

    id: str
    owner: str | None
    created_at: datetime.datetime
    updated_at: datetime.datetime
    status: Status = Status.QUEUED
    name: str | None = None
    visibility: str = 'shared'
    protected: bool = False
    os_hidden: bool = False
    disk_format: str | None = None
    container_format: str | None = None
    min_disk: int = 0
    min_ram: int = 0
    size: int | None = None
    virtual_size: int | None = None
    checksum: str | None = None
    os_hash_algo: str | None = None
    os_hash_value: str | None = None
    tags: list[str] = dataclasses.field(default_factory=list)
    properties: dict[str, str] = dataclasses.field(default_factory=dict)
    created_by_task: str | None = None


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the operator allows in a record. A negative quota is no limit."""

    container_formats: collections.abc.Collection[str]
    disk_formats: collections.abc.Collection[str]
    property_quota: int = 128
    tag_quota: int = 128


@dataclasses.dataclass(frozen=True)
class Location:
    """Where the bytes of an image are, or were about to be.

    status is 'pending' from before the first byte until the commit, then
    'active'; 'pending_delete' once nobody may read it any more.
    """

    image_id: str
    store: str
    url: str
    status: str


def check(
    given: dict[str, typing.Any], limits: Limits, *, field: str = ''
) -> dict[str, typing.Any]:
    """What a caller wants an image to be, checked by the rules of POST /v2/images.

    given   names and values as they came
    field   what to call the object in a sentence, for example "image_properties"

    Returns the base fields by their names, free ones under 'properties'.

    Raises Forbidden for a reserved name, Invalid for a malformed value (both
    name field and fact), TooLarge over a quota.
    """
    prefix = f'{field}.' if field else ''
    fields: dict[str, typing.Any] = {}
    free: dict[str, str] = {}
    for name, value in given.items():
        if name in RESERVED or name.startswith(RESERVED_PREFIX):
            raise errors.Forbidden(f'"{prefix}{name}" is set by the service only.')
        rule = _RULES.get(name)
        try:
            if rule is not None:
                fields[name] = rule(value, limits)
            else:
                _text(name, limits)
                free[name] = _free_text(value)
        except ValueError as error:
            raise errors.Invalid(f'"{prefix}{name}" {error}.') from None
    _within(len(free), limits.property_quota, 'properties')
    _within(len(fields.get('tags', ())), limits.tag_quota, 'tags')
    return fields | {'properties': free}


def _within(count: int, quota: int, what: str) -> None:
    if 0 <= quota < count:
        raise errors.TooLarge(f'An image may have {quota} {what} at most; {count} were given.')


def _text(value: typing.Any, _limits: Limits) -> str:
    if not isinstance(value, str):
        raise ValueError(f'must be text, not {_kind(value)}')
    if len(value) > LONGEST_NAME:
        raise ValueError(f'is longer than {LONGEST_NAME} characters')
    return _storable(value)


def _free_text(value: typing.Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f'must be text, not {_kind(value)}')
    return _storable(value)


def _storable(value: str) -> str:
    """No database stores NUL or half a surrogate pair as text."""
    if '\0' in value or any('\ud800' <= character <= '\udfff' for character in value):
        raise ValueError('holds a character that cannot be stored')
    return value


def _text_or_null(value: typing.Any, limits: Limits) -> str | None:
    return None if value is None else _text(value, limits)


def _boolean(value: typing.Any, _limits: Limits) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f'must be true or false, not {_kind(value)}')
    return value


def _natural(value: typing.Any, _limits: Limits) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        shown = f'{value:.15g}' if isinstance(value, float) else _kind(value)
        raise ValueError(f'must be a whole number, not {shown}')
    if not 0 <= value <= LARGEST_INTEGER:
        raise ValueError(f'must be from 0 to {LARGEST_INTEGER}')
    return value


def _one_of(value: typing.Any, allowed: collections.abc.Collection[str]) -> str:
    if not isinstance(value, str) or value not in allowed:
        shown = value if isinstance(value, str) else _kind(value)
        raise ValueError(f'must be one of {", ".join(allowed)}, not {shown[:80]}')
    return value


def _tags(value: typing.Any, limits: Limits) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f'must be a list of texts, not {_kind(value)}')
    return sorted({_text(tag, limits) for tag in value})


def _uuid(value: typing.Any, _limits: Limits) -> str:
    if not isinstance(value, str) or not UUID.fullmatch(value):
        raise ValueError('must be a UUID')
    return value.lower()


def _kind(value: typing.Any) -> str:
    names = {
        type(None): 'null',
        bool: 'true or false',
        int: 'a number',
        float: 'a number',
        str: 'text',
        list: 'a list',
        dict: 'an object',
    }
    return names.get(type(value), type(value).__name__)


_RULES: dict[str, collections.abc.Callable[[typing.Any, Limits], typing.Any]] = {
    'id': _uuid,
    'name': _text_or_null,
    'visibility': lambda value, _limits: _one_of(value, VISIBILITIES),
    'owner': _text_or_null,
    'protected': _boolean,
    'os_hidden': _boolean,
    'container_format': lambda value, limits: (
        None if value is None else _one_of(value, limits.container_formats)
    ),
    'disk_format': lambda value, limits: (
        None if value is None else _one_of(value, limits.disk_formats)
    ),
    'min_disk': _natural,
    'min_ram': _natural,
    'tags': _tags,
}
