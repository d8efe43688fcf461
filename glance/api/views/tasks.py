"""The JSON forms of a task."""

import dataclasses
import typing

from glance.api.views.events import step_as_json
from glance.api.views.times import zoneless, zulu
from glance.domain.task import Task

PATH = '/v2/tasks'


def as_json(task: Task) -> dict[str, typing.Any]:
    """A task shown by itself. A field without a value is left out."""
    shown = as_list_item(task)
    for name in ('image_id', 'request_id', 'user_id', 'retry_of', 'cancelled_by', 'cancel_reason'):
        value = getattr(task, name)
        if value is not None:
            shown[name] = value
    if task.cancelled_at is not None:
        shown['cancelled_at'] = zulu(task.cancelled_at)
    return shown | {
        'input': task.input,
        'result': task.result,
        'message': task.message,
        'steps': [step_as_json(step) for step in task.steps],
        'schema': '/v2/schemas/task',
    }


def as_list_item(task: Task) -> dict[str, typing.Any]:
    """A task in a list: without input, result, message and steps."""
    shown: dict[str, typing.Any] = {
        'id': task.id,
        'type': task.type,
        'status': task.status,
        'owner': task.owner,
        'progress': task.progress,
        'created_at': zulu(task.created_at),
        'updated_at': zulu(task.updated_at),
        'self': f'{PATH}/{task.id}',
        'schema': '/v2/schemas/task',
    }
    if task.expires_at is not None:
        shown['expires_at'] = zulu(task.expires_at)
    if task.cancelled:
        shown['cancelled'] = True
    return shown


def as_record(task: Task) -> dict[str, typing.Any]:
    """A task among the tasks of an image: all columns, with times that have no zone."""
    record = dataclasses.asdict(task) | {
        'created_at': zoneless(task.created_at),
        'updated_at': zoneless(task.updated_at),
        'expires_at': zoneless(task.expires_at),
        'cancelled_at': zoneless(task.cancelled_at),
        'cancelled': task.cancelled,
        'deleted_at': None,
        'deleted': False,
    }
    del record['steps']
    return record
