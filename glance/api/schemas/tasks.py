"""Schemas of tasks: CREATE for the body of a POST, the others for answers."""

import collections.abc
import typing

from glance.api import body
from glance.domain.image import UUID
from glance.domain.steps import StepState
from glance.domain.task import Status

Schema = dict[str, typing.Any]
Types = collections.abc.Iterable[str]

_UUID = f'^{UUID.pattern}$'

_OBJECT_OR_NULL = ['null', 'object']

# Fields of a task whose cancel was requested. A list does not show them.
CANCEL_REQUEST = ('cancelled_at', 'cancelled_by', 'cancel_reason')


_STEPS = {
    'type': 'array',
    'readOnly': True,
    'description': 'The steps of the task that have begun. /v2/tasks/{id}/events has more.',
    'items': {
        'type': 'object',
        'properties': {
            'name': {'type': 'string', 'description': 'Name of the step.'},
            'state': {'type': 'string', 'enum': list(StepState)},
            'started_at': {'type': 'string', 'description': 'Time at which it began last.'},
            'ended_at': {'type': 'string', 'description': 'Time of its end, or of its undo.'},
            'attempt': {
                'type': 'integer',
                'description': 'Which of the runs of the task did it last, from 1.',
            },
            'bytes_done': {'type': 'integer', 'description': 'Bytes that it has moved.'},
            'bytes_total': {'type': 'integer', 'description': 'Bytes that it will move.'},
            'rate': {'type': 'integer', 'description': 'Bytes per second in this run.'},
        },
    },
}


def _fields(types: Types) -> Schema:
    return {
        'id': {'type': 'string', 'pattern': _UUID, 'description': 'ID of the task.'},
        'type': {'type': 'string', 'enum': list(types), 'description': 'Type of the task.'},
        'status': {
            'type': 'string',
            'enum': list(Status),
            'description': 'Status of the task. The last two are final.',
        },
        'input': {
            'type': _OBJECT_OR_NULL,
            'description': 'Input of the task. /v2/schemas/tasks/{type} has its schema.',
        },
        'result': {
            'type': _OBJECT_OR_NULL,
            'description': 'Result of the task, once it has succeeded.',
        },
        'owner': {'type': 'string', 'description': 'ID of the project that owns the task.'},
        'message': {
            'type': 'string',
            'description': 'Reason for the failure, if the task failed.',
        },
        'image_id': {'type': 'string', 'description': 'ID of the image that the task works on.'},
        'request_id': {
            'type': 'string',
            'description': 'ID of the request that created the task.',
        },
        'user_id': {'type': 'string', 'description': 'ID of the user who created the task.'},
        'retry_of': {
            'type': 'string',
            'description': 'ID of the failed task that this task repeats.',
        },
        'expires_at': {
            'type': ['null', 'string'],
            'description': 'Time at which an ended task expires and is no longer shown.',
        },
        'created_at': {'type': 'string', 'description': 'Time at which the task was accepted.'},
        'updated_at': {'type': 'string', 'description': 'Time of the last change of the task.'},
        'cancelled': {
            'type': 'boolean',
            'description': 'Whether the task has ended because a user cancelled it.',
        },
        'cancelled_at': {
            'type': 'string',
            'description': 'Time at which the cancel was requested.',
        },
        'cancelled_by': {
            'type': 'string',
            'description': 'ID of the user who requested the cancel.',
        },
        'cancel_reason': {
            'type': 'string',
            'description': 'Reason that the user gave for the cancel.',
        },
        'progress': {
            'type': 'integer',
            'minimum': 0,
            'maximum': 100,
            'readOnly': True,
            'description': 'How many percent of the task are done.',
        },
        'steps': _STEPS,
        'self': {'type': 'string', 'readOnly': True, 'description': 'URL of the task.'},
        'schema': {'type': 'string', 'readOnly': True, 'description': 'URL of this schema.'},
    }


def task(types: Types) -> Schema:
    """/v2/schemas/task, with these task types."""
    return {'name': 'task', 'properties': _fields(types)}


def collection(types: Types) -> Schema:
    """/v2/schemas/tasks."""
    fields = _fields(types)
    for name in ('input', 'result', 'message', 'steps', *CANCEL_REQUEST):
        del fields[name]
    return {
        'name': 'tasks',
        'properties': {
            'tasks': {'type': 'array', 'items': {'name': 'task', 'properties': fields}},
            'schema': {'type': 'string'},
        },
        'links': [{'rel': 'describedby', 'href': '{schema}'}],
    }


def _create() -> Schema:
    # The service checks the type. Only an answer can have null as input.
    properties = _fields(()) | {'type': {'type': 'string'}, 'input': {'type': 'object'}}
    # jsonschema checks a body in this order.
    return {
        'type': 'object',
        'required': ['type', 'input'],
        'additionalProperties': False,
        'properties': properties,
    }


CREATE = body.validator(_create())

CANCEL = body.validator(
    {
        'type': 'object',
        'additionalProperties': False,
        'properties': {'reason': {'type': ['null', 'string']}},
    }
)
