"""The image: its record, its statuses, and the fields that a caller may set."""

import collections.abc
import dataclasses
import datetime
import enum
import re
import typing

from glance.domain import errors


class Status(enum.StrEnum):
    """The status of an image."""

    QUEUED = 'queued'  # a record without bytes
    SAVING = 'saving'  # bytes are being uploaded
    UPLOADING = 'uploading'  # bytes are being staged
    IMPORTING = 'importing'  # a task imports it
    ACTIVE = 'active'  # the bytes can be read
    DEACTIVATED = 'deactivated'  # only administrators can read the bytes
    KILLED = 'killed'  # the upload failed
    PENDING_DELETE = 'pending_delete'  # deleted; the bytes are removed later
    DELETED = 'deleted'


# Status to the statuses that may follow it.
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
# Images of these visibilities can be seen by every project.
VISIBLE_TO_ALL = ('public', 'community')

# Names of properties that only the service sets.
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
# All properties whose names begin with this are reserved as well.
RESERVED_PREFIX = 'os_glance'

# Characters of a name, a tag or an owner.
LONGEST_NAME = 255
# The largest number that the columns min_disk and min_ram can have.
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


def is_visible(owner: str | None, visibility: str, project: str | None) -> bool:
    """Whether a project may see an image of this owner and visibility.

    project  None: an administrator, who sees all images
    """
    return project is None or owner == project or visibility in VISIBLE_TO_ALL


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the operator allows in an image record. A negative quota means no limit."""

    container_formats: collections.abc.Collection[str]
    disk_formats: collections.abc.Collection[str]
    property_quota: int = 128
    tag_quota: int = 128


class LocationStatus(enum.StrEnum):
    """The status of a location."""

    PENDING = 'pending'  # announced, from before the first byte until the commit
    ACTIVE = 'active'  # the bytes can be read
    PENDING_DELETE = 'pending_delete'  # the image is deleted, its bytes are not yet
    LEFT = 'left'  # a task could not remove the bytes; this status is of a Leftover, not of a row


@dataclasses.dataclass(frozen=True)
class Location:
    """Where the bytes of an image are, or will be. status is one of LocationStatus."""

    image_id: str
    store: str
    url: str
    status: str


def validate_properties(
    given: dict[str, typing.Any], limits: Limits, *, field: str = ''
) -> dict[str, typing.Any]:
    """The fields of an image as a caller gave them, by the rules of POST /v2/images.

    given   names and values as the caller sent them
    field   the name of the object in messages, for example "image_properties"

    Returns base fields by their names, and free properties under 'properties'.

    Raises Forbidden for a reserved name, Invalid for a malformed value and
    TooLarge over a quota. The sentence names the field and says what is wrong.
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
    _require_quota(len(free), limits.property_quota, 'properties')
    _require_quota(len(fields.get('tags', ())), limits.tag_quota, 'tags')
    return fields | {'properties': free}


def _require_quota(count: int, quota: int, what: str) -> None:
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
    """Raises ValueError for NUL and for half a surrogate pair: no database stores them."""
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
