"""Schemas of images and their members, as answers show them."""

import collections.abc
import typing

from glance.api.settings import Settings
from glance.domain.image import LONGEST_NAME, UUID, VISIBILITIES, Status

_UUID = f'^{UUID.pattern}$'

Schema = dict[str, typing.Any]

_TEXT_OR_NULL = ['null', 'string']
_SIZE_OR_NULL = ['null', 'integer']


def _read_only(kind: str | list[str], description: str, **more: typing.Any) -> Schema:
    """A field that only the service sets."""
    return {'type': kind, 'readOnly': True, 'description': description, **more}


def _format(formats: collections.abc.Iterable[str], description: str) -> Schema:
    return {'type': _TEXT_OR_NULL, 'enum': [None, *formats], 'description': description}


def _fields(settings: Settings) -> Schema:
    return {
        'id': {'type': 'string', 'pattern': _UUID, 'description': 'ID of the image.'},
        'name': {
            'type': _TEXT_OR_NULL,
            'maxLength': LONGEST_NAME,
            'description': 'Name of the image. Several images can have the same name.',
        },
        'status': _read_only('string', 'Status of the image.', enum=list(Status)),
        'visibility': {
            'type': 'string',
            'enum': list(VISIBILITIES),
            'description': 'Which projects can see the image.',
        },
        'owner': {
            'type': _TEXT_OR_NULL,
            'maxLength': LONGEST_NAME,
            'description': 'ID of the project that owns the image.',
        },
        'protected': {
            'type': 'boolean',
            'description': 'Whether the image is protected against deletion.',
        },
        'os_hidden': {
            'type': 'boolean',
            'description': 'Whether lists omit the image unless they ask for hidden images.',
        },
        'container_format': _format(
            settings.container_formats, 'Format of the container around the disk image.'
        ),
        'disk_format': _format(settings.disk_formats, 'Format of the disk image.'),
        'min_disk': {
            'type': 'integer',
            'minimum': 0,
            'description': 'Minimum disk size in GiB that the image needs.',
        },
        'min_ram': {
            'type': 'integer',
            'minimum': 0,
            'description': 'Minimum memory in MiB that the image needs.',
        },
        'size': _read_only(_SIZE_OR_NULL, 'Size of the image data in bytes.'),
        'virtual_size': _read_only(
            _SIZE_OR_NULL, 'Size in bytes of the disk that a virtual machine sees.'
        ),
        'checksum': _read_only(_TEXT_OR_NULL, 'MD5 hash of the image data.', maxLength=32),
        'os_hash_algo': _read_only(
            _TEXT_OR_NULL, 'Hash algorithm of os_hash_value.', maxLength=64
        ),
        'os_hash_value': _read_only(_TEXT_OR_NULL, 'Hash of the image data.', maxLength=128),
        'created_at': _read_only('string', 'Time at which the image was created.'),
        'updated_at': _read_only('string', 'Time of the last change of the image.'),
        'tags': {
            'type': 'array',
            'items': {'type': 'string', 'maxLength': LONGEST_NAME},
            'description': 'Tags of the image. Lists can be filtered by them.',
        },
        'stores': _read_only(
            'string', 'Names of the stores that have the image data, separated by commas.'
        ),
        'direct_url': _read_only('string', 'URL of the image data in the store.'),
        'locations': {
            'type': 'array',
            'items': {
                'type': 'object',
                'required': ['url', 'metadata'],
                'properties': {
                    'url': {'type': 'string', 'maxLength': LONGEST_NAME},
                    'metadata': {'type': 'object'},
                },
            },
            'description': 'URLs of the image data in the stores.',
        },
        'self': _read_only('string', 'URL of the image.'),
        'file': _read_only('string', 'URL of the image data.'),
        'schema': _read_only('string', 'URL of this schema.'),
    }


def image(settings: Settings) -> Schema:
    """/v2/schemas/image. Values of free properties are text."""
    return {
        'name': 'image',
        'properties': _fields(settings),
        'additionalProperties': {'type': 'string'},
        'links': [
            {'rel': 'self', 'href': '{self}'},
            {'rel': 'enclosure', 'href': '{file}'},
            {'rel': 'describedby', 'href': '{schema}'},
        ],
    }


def collection(settings: Settings) -> Schema:
    """/v2/schemas/images."""
    return {
        'name': 'images',
        'properties': {
            'images': {'type': 'array', 'items': image(settings)},
            'first': {'type': 'string'},
            'next': {'type': 'string'},
            'schema': {'type': 'string'},
        },
        'links': [
            {'rel': 'first', 'href': '{first}'},
            {'rel': 'next', 'href': '{next}'},
            {'rel': 'describedby', 'href': '{schema}'},
        ],
    }


MEMBER: Schema = {
    'name': 'member',
    'properties': {
        'member_id': {
            'type': 'string',
            'description': 'ID of the project that the image is shared with.',
        },
        'image_id': {'type': 'string', 'pattern': _UUID, 'description': 'ID of the image.'},
        'status': {
            'type': 'string',
            'enum': ['pending', 'accepted', 'rejected'],
            'description': 'Whether the project has accepted or rejected the image.',
        },
        'created_at': {'type': 'string', 'description': 'Time at which the image was shared.'},
        'updated_at': {
            'type': 'string',
            'description': 'Time of the last change of the membership.',
        },
        'schema': {'type': 'string', 'readOnly': True, 'description': 'URL of this schema.'},
    },
}

MEMBERS: Schema = {
    'name': 'members',
    'properties': {'members': {'type': 'array', 'items': MEMBER}, 'schema': {'type': 'string'}},
    'links': [{'rel': 'describedby', 'href': '{schema}'}],
}
