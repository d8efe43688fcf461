"""/v2/tasks, one function per URL and method. See glance/api/routes.py."""

import functools
import logging
import typing

import webob

from glance.api import body
from glance.api.errors import HTTPError, handler
from glance.api.listings import tasks as listings
from glance.api.request import Request
from glance.api.schemas import tasks as schemas
from glance.api.views import tasks as views
from glance.domain import errors, idempotency
from glance.domain.task import Task
from glance.services import Services

LOG = logging.getLogger(__name__)

LONGEST_WAIT = 120  # seconds


@handler
def create(req: Request, services: Services) -> webob.Response:
    """POST /v2/tasks: accept work to be done later.

    201  the task and its Location; the work has not begun yet
    400  the body does not fit schemas.CREATE, or the input does not fit the schema or
         the rules of its type
    403  policy does not allow it
    409  an image with the same id exists, or the Idempotency-Key came with another body
    413  the body is too large, or the input exceeds a quota
    415  the Content-Type is not JSON
    500  the plug-in of the task type does not work; the log says why
    """
    req.context.require('tasks_api_access')
    req.context.require('add_task')
    wanted = body.read(req, schemas.CREATE)
    key = _key(req, wanted)
    if key is not None and (earlier := services.tasks.of_key(key)):
        return _accepted(req, earlier, new=False)
    _verify_input(wanted['input'], services.tasks.type(wanted['type']))
    task, new = services.tasks.create_once(
        wanted['type'], wanted['input'], by=req.context.caller, key=key
    )
    return _accepted(req, task, new=new)


@handler
def retry(req: Request, services: Services) -> webob.Response:
    """POST /v2/tasks/{task_id}/retry: accept a task that repeats a failed one.

    201  the new task and its Location
    400  there is a body, or the input does not fit the type any more
    403  policy does not allow to create tasks
    404  there is no such task, this caller may not see it, or it has expired
    409  the task has not failed, or its type is not installed any more; and as for create()
    500  as for create()
    """
    req.context.require('tasks_api_access')
    req.context.require('add_task')
    body.require_empty(req)
    failed = services.tasks.get(req.variables['task_id'], by=req.context.caller)
    key = _key(req, {'retry_of': failed.id})
    if key is not None and (earlier := services.tasks.of_key(key)):
        return _accepted(req, earlier, new=False)
    services.tasks.verify_retry(failed)
    _verify_input(failed.input, services.tasks.type(failed.type))
    task, new = services.tasks.retry(failed, by=req.context.caller, key=key)
    return _accepted(req, task, new=new)


def _key(req: Request, wanted: dict[str, typing.Any]) -> idempotency.IdempotencyKey | None:
    """The Idempotency-Key of a request that asks for this; None without. Raises Invalid."""
    text = req.headers.get('Idempotency-Key')
    if text is None:
        return None
    return idempotency.key_for(text, req.context.caller.project_id, wanted)


def _accepted(req: Request, task: Task, *, new: bool) -> webob.Response:
    """201. new: False if the task was accepted by an earlier request with the same key."""
    req.context.resource_uuid = task.id  # from here on, log lines of the request name the task
    response = webob.Response(
        status=201, json=views.as_json(task), location=f'{req.base}{views.PATH}/{task.id}'
    )
    if new:
        LOG.info('Task %s accepted', task.id, extra={'action': 'task_accepted'})
    else:
        LOG.info('Task %s was accepted before', task.id, extra={'action': 'task_replayed'})
        response.headers['Idempotency-Replayed'] = 'true'
    return response


def _verify_input(given: dict[str, typing.Any], task_type: typing.Any) -> None:
    """Raises Invalid if the input of a new task does not fit the schema of its TaskType."""
    try:
        body.verify(given, _input_validator(task_type), 'input')
    except errors.GlanceError:
        raise
    except Exception as error:  # a schema can refer to something that does not exist
        name = task_type.flow.type
        LOG.exception(
            'The input schema of the task type "%s" cannot be used',
            name,
            extra={'action': 'task_type_broken'},
        )
        raise errors.PluginBroke(f'task type "{name}"') from error


@functools.cache
def _input_validator(task_type: typing.Any) -> body.Validator:
    return body.validator(task_type.input_schema)


@handler
def index(req: Request, services: Services) -> webob.Response:
    """GET /v2/tasks: a page of tasks, without input, result and message.

    200  the tasks and the links to other pages
    400  the query cannot be used
    403  policy does not allow it
    """
    req.context.require('tasks_api_access')
    req.context.require('get_tasks')
    fields = req.read_query()
    listing = listings.read(fields, req.settings, services.tasks.known_types)
    tasks = services.tasks.list(listing, by=req.context.caller)
    return webob.Response(
        json={
            'tasks': [views.as_list_item(task) for task in tasks],
            **fields.links(views.PATH, tasks, listing.limit),
            'schema': '/v2/schemas/tasks',
        }
    )


@handler
def show(req: Request, services: Services) -> webob.Response:
    """GET /v2/tasks/{task_id}: one task.

    With ?wait=SECONDS, it is answered when the task has ended, or after so many seconds at
    most. Glance-Waited says for how many it was waited: 0 if too many wait already.

    200  the task
    400  "wait" is no number of seconds
    403  policy does not allow it
    404  there is no such task, this caller may not see it, or it has expired
    """
    req.context.require('tasks_api_access')
    req.context.require('get_task')
    seconds = req.read_query().number('wait', LONGEST_WAIT)
    task_id = req.variables['task_id']
    if seconds is None:
        return webob.Response(
            json=views.as_json(services.tasks.get(task_id, by=req.context.caller))
        )
    task, waited = services.tasks.wait(
        task_id, seconds, by=req.context.caller, is_gone=req.client_is_gone
    )
    response = webob.Response(json=views.as_json(task))
    response.headers['Glance-Waited'] = f'{round(waited, 1):g}'
    return response


@handler
def cancel(req: Request, services: Services) -> webob.Response:
    """POST /v2/tasks/{task_id}/cancel: stop a task and undo what it did.

    202  the task; it ends as a failure soon, or has ended if it had not begun. A
         second request changes nothing
    400  the body does not fit schemas.CANCEL, or the reason cannot be used
    403  policy does not allow it
    404  there is no such task, this caller may not see it, or it has expired
    409  the task has ended, or is about to
    415  there is a body, and the Content-Type is not JSON
    """
    req.context.require('tasks_api_access')
    req.context.require('cancel_task')
    wanted = body.read_optional(req, schemas.CANCEL)
    task = services.tasks.cancel(
        req.variables['task_id'], by=req.context.caller, reason=wanted.get('reason')
    )
    req.context.resource_uuid = task.id
    LOG.info('Task %s is to be cancelled', task.id, extra={'action': 'task_cancel_requested'})
    return webob.Response(status=202, json=views.as_json(task))


@handler
def delete(req: Request, services: Services) -> webob.Response:
    """DELETE /v2/tasks/{task_id}: always refused. An ended task is removed after it expires.

    403  policy does not allow it
    405  in all other cases
    """
    req.context.require('tasks_api_access')
    raise HTTPError(
        405,
        'Tasks cannot be deleted; those that have ended expire.',
        {'Allow': 'GET, HEAD, OPTIONS'},
    )
