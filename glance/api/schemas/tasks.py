"""Schemas of tasks: CREATE for what comes, the others for what is shown."""

from glance.api import body
from glance.domain.task import Status

# Types that the service makes by itself elsewhere; lists may be asked for them.
INTERNAL = ('api_image_import', 'location_import')

_UUID = '^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$'

_OBJECT_OR_NULL = ['null', 'object']


def _fields(types):
    return {
        'id': {'type': 'string', 'pattern': _UUID, 'description': 'Names the task.'},
        'type': {'type': 'string', 'enum': list(types), 'description': 'What is to be done.'},
        'status': {
            'type': 'string',
            'enum': list(Status),
            'description': 'How far it is; the last two are final.',
        },
        'input': {
            'type': _OBJECT_OR_NULL,
            'description': 'What the task works with; its form depends on the type.',
        },
        'result': {
            'type': _OBJECT_OR_NULL,
            'description': 'What came of it, once the task has succeeded.',
        },
        'owner': {'type': 'string', 'description': 'The project that the task belongs to.'},
        'message': {'type': 'string', 'description': 'Why the task failed, if it did.'},
        'image_id': {'type': 'string', 'description': 'The image that the task works on.'},
        'request_id': {'type': 'string', 'description': 'The request that created the task.'},
        'user_id': {'type': 'string', 'description': 'The user who created the task.'},
        'expires_at': {
            'type': ['null', 'string'],
            'description': 'When an ended task will not be shown any more.',
        },
        'created_at': {'type': 'string', 'description': 'When the task was accepted.'},
        'updated_at': {'type': 'string', 'description': 'When the task changed last.'},
        'self': {'type': 'string', 'readOnly': True, 'description': 'Where the task stands.'},
        'schema': {'type': 'string', 'readOnly': True, 'description': 'Where this stands.'},
    }


def known(types):
    """All task types there may be: those that can be created, and the internal ones."""
    return (*types, *(name for name in INTERNAL if name not in types))


def task(types):
    """/v2/schemas/task."""
    return {'name': 'task', 'properties': _fields(known(types))}


def collection(types):
    """/v2/schemas/tasks."""
    stub = _fields(known(types))
    for name in ('input', 'result', 'message'):
        del stub[name]
    return {
        'name': 'tasks',
        'properties': {
            'tasks': {'type': 'array', 'items': {'name': 'task', 'properties': stub}},
            'schema': {'type': 'string'},
        },
        'links': [{'rel': 'describedby', 'href': '{schema}'}],
    }


def _create():
    # Which types there are is for the service to say; input may be null only when shown.
    properties = _fields(()) | {'type': {'type': 'string'}, 'input': {'type': 'object'}}
    # A body is judged in this order.
    return {
        'type': 'object',
        'required': ['type', 'input'],
        'additionalProperties': False,
        'properties': properties,
    }


CREATE = body.validator(_create())
