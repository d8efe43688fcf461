"""Schemas of images and their members, as they are shown."""

from glance.domain.image import LONGEST_NAME, VISIBILITIES, Status

_UUID = '^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$'
_TEXT_OR_NULL = ['null', 'string']
_SIZE_OR_NULL = ['null', 'integer']


def _shown(kind, description, **more):
    """A field that only the service sets."""
    return {'type': kind, 'readOnly': True, 'description': description, **more}


def _format(formats, description):
    return {'type': _TEXT_OR_NULL, 'enum': [None, *formats], 'description': description}


def _fields(settings):
    return {
        'id': {'type': 'string', 'pattern': _UUID, 'description': 'Names the image.'},
        'name': {
            'type': _TEXT_OR_NULL,
            'maxLength': LONGEST_NAME,
            'description': 'What people call the image.',
        },
        'status': _shown('string', 'What can be done with the image.', enum=list(Status)),
        'visibility': {
            'type': 'string',
            'enum': list(VISIBILITIES),
            'description': 'Who can see the image.',
        },
        'owner': {
            'type': _TEXT_OR_NULL,
            'maxLength': LONGEST_NAME,
            'description': 'The project that the image belongs to.',
        },
        'protected': {'type': 'boolean', 'description': 'Whether deleting is refused.'},
        'os_hidden': {'type': 'boolean', 'description': 'Whether lists leave the image out.'},
        'container_format': _format(settings.container_formats, 'What the disk is wrapped in.'),
        'disk_format': _format(settings.disk_formats, 'What the bytes of the disk mean.'),
        'min_disk': {
            'type': 'integer',
            'minimum': 0,
            'description': 'GiB of disk that the image needs.',
        },
        'min_ram': {
            'type': 'integer',
            'minimum': 0,
            'description': 'MiB of memory that the image needs.',
        },
        'size': _shown(_SIZE_OR_NULL, 'Bytes that are stored.'),
        'virtual_size': _shown(_SIZE_OR_NULL, 'Bytes of the disk that a machine sees.'),
        'checksum': _shown(_TEXT_OR_NULL, 'MD5 of the bytes.', maxLength=32),
        'os_hash_algo': _shown(_TEXT_OR_NULL, 'How os_hash_value was made.', maxLength=64),
        'os_hash_value': _shown(_TEXT_OR_NULL, 'Hash of the bytes.', maxLength=128),
        'created_at': _shown('string', 'When the image was made.'),
        'updated_at': _shown('string', 'When the image changed last.'),
        'tags': {
            'type': 'array',
            'items': {'type': 'string', 'maxLength': LONGEST_NAME},
            'description': 'Words that the image can be found by.',
        },
        'stores': _shown('string', 'The stores that have the bytes, with commas between.'),
        'direct_url': _shown('string', 'Where the store keeps the bytes.'),
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
            'description': 'Where the stores keep the bytes.',
        },
        'self': _shown('string', 'Where the image stands.'),
        'file': _shown('string', 'Where the bytes can be read.'),
        'schema': _shown('string', 'Where this stands.'),
    }


def image(settings):
    """/v2/schemas/image. Free properties are text."""
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


def collection(settings):
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


MEMBER = {
    'name': 'member',
    'properties': {
        'member_id': {'type': 'string', 'description': 'The project it is shared with.'},
        'image_id': {'type': 'string', 'pattern': _UUID, 'description': 'The image.'},
        'status': {
            'type': 'string',
            'enum': ['pending', 'accepted', 'rejected'],
            'description': 'What that project made of it.',
        },
        'created_at': {'type': 'string', 'description': 'When it was shared.'},
        'updated_at': {'type': 'string', 'description': 'When the sharing changed last.'},
        'schema': {'type': 'string', 'readOnly': True, 'description': 'Where this stands.'},
    },
}

MEMBERS = {
    'name': 'members',
    'properties': {'members': {'type': 'array', 'items': MEMBER}, 'schema': {'type': 'string'}},
    'links': [{'rel': 'describedby', 'href': '{schema}'}],
}
