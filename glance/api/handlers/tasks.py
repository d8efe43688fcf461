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
from glance.domain import errors
from glance.services import Services

LOG = logging.getLogger(__name__)


@handler
def create(req: Request, services: Services) -> webob.Response:
    """POST /v2/tasks: accept work to be done later.

    201  the task and its Location; the work has not begun yet
    400  the body does not fit schemas.CREATE, or the input does not fit the schema or
         the rules of its type
    403  policy does not allow it
    409  an image with the same id exists
    413  the body is too large, or the input exceeds a quota
    415  the Content-Type is not JSON
    500  the plug-in of the task type does not work; the log says why
    """
    req.context.require('tasks_api_access')
    req.context.require('add_task')
    wanted = body.read(req, schemas.CREATE)
    _verify_input(wanted['input'], services.tasks.type(wanted['type']))
    task = services.tasks.create(wanted['type'], wanted['input'], by=req.context.caller)
    req.context.resource_uuid = task.id  # from here on, log lines of the request name the task
    LOG.info('Task %s accepted', task.id, extra={'action': 'task_accepted'})
    return webob.Response(
        status=201, json=views.as_json(task), location=f'{req.base}{views.PATH}/{task.id}'
    )


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

    200  the task
    403  policy does not allow it
    404  there is no such task, this caller may not see it, or it has expired
    """
    req.context.require('tasks_api_access')
    req.context.require('get_task')
    task = services.tasks.get(req.variables['task_id'], by=req.context.caller)
    return webob.Response(json=views.as_json(task))


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
