"""/v2/tasks, one function per URL and method. See glance/api/routes.py."""

import logging

import webob

from glance.api import body, query
from glance.api.errors import HTTPError, handler
from glance.api.schemas import tasks as schemas
from glance.domain.listing import Listing
from glance.domain.task import Status

LOG = logging.getLogger(__name__)

PATH = '/v2/tasks'
TIMES = ('created_at', 'updated_at', 'expires_at')
COLUMNS = ('id', 'type', 'status', 'owner', 'image_id', 'request_id', 'user_id', *TIMES)


@handler
def create(req, services):
    """POST /v2/tasks: accept work to be done later.

    201  the task and its Location; the work has not begun yet
    400  the body does not fit schemas.CREATE, or the input not the type
    403  policy says no
    409  an image of that id exists
    413  the body is too large, or what was asked for is over a quota
    415  the body is not called JSON
    """
    req.context.require('tasks_api_access')
    req.context.require('add_task')
    wanted = body.read(req, schemas.CREATE)
    task = services.tasks.create(wanted['type'], wanted['input'], by=req.context.caller)
    req.context.resource_uuid = task.id  # its log lines carry it from here on
    LOG.info('Task %s accepted', task.id, extra={'action': 'task_accepted'})
    return webob.Response(status=201, json=as_json(task), location=f'{req.base}{PATH}/{task.id}')


@handler
def index(req, services):
    """GET /v2/tasks: a page of tasks, without input, result and message.

    200  the tasks and the links to other pages
    400  the query cannot be used
    403  policy says no
    """
    req.context.require('tasks_api_access')
    req.context.require('get_tasks')
    asked = req.read_query()
    listing = Listing(
        limit=asked.limit(req.settings),
        marker=asked.marker(),
        sort=(
            (
                asked.choice('sort_key', COLUMNS, 'created_at'),
                asked.choice('sort_dir', ('asc', 'desc'), 'desc'),
            ),
        ),
        filters=_filters(asked, services.tasks.types),
    )
    found = services.tasks.list(listing, by=req.context.caller)
    return webob.Response(
        json={
            'tasks': [_stub(task) for task in found],
            **asked.links(PATH, found, listing.limit),
            'schema': '/v2/schemas/tasks',
        }
    )


@handler
def show(req, services):
    """GET /v2/tasks/{task_id}: one task.

    200  the task
    403  policy says no
    404  there is no such task, or not for this caller, or not any more
    """
    req.context.require('tasks_api_access')
    req.context.require('get_task')
    task = services.tasks.get(req.variables['task_id'], by=req.context.caller)
    return webob.Response(json=as_json(task))


@handler
def delete(req, services):
    """DELETE /v2/tasks/{task_id}: never; an ended task goes by itself when it expires.

    403  policy says no
    405  always, otherwise
    """
    req.context.require('tasks_api_access')
    raise HTTPError(
        405, 'Tasks cannot be deleted; those that have ended expire.', {'Allow': 'GET'}
    )


def as_json(task):
    """A task as it is shown; what has no value is left out."""
    shown = _stub(task)
    for name in ('image_id', 'request_id', 'user_id'):
        value = getattr(task, name)
        if value is not None:
            shown[name] = value
    return shown | {
        'input': task.input,
        'result': task.result,
        'message': task.message,
        'schema': '/v2/schemas/task',
    }


def as_record(task):
    """A task among those of an image: every column, and times without a zone."""
    return {
        'id': task.id,
        'type': task.type,
        'status': task.status,
        'owner': task.owner,
        'image_id': task.image_id,
        'request_id': task.request_id,
        'user_id': task.user_id,
        'input': task.input,
        'result': task.result,
        'message': task.message,
        'created_at': _plain(task.created_at),
        'updated_at': _plain(task.updated_at),
        'expires_at': _plain(task.expires_at),
        'deleted_at': None,
        'deleted': False,
    }


def _stub(task):
    shown = {
        'id': task.id,
        'type': task.type,
        'status': task.status,
        'owner': task.owner,
        'created_at': zulu(task.created_at),
        'updated_at': zulu(task.updated_at),
        'self': f'{PATH}/{task.id}',
        'schema': '/v2/schemas/task',
    }
    if task.expires_at is not None:
        shown['expires_at'] = zulu(task.expires_at)
    return shown


def zulu(time):
    """A time in whole seconds, as it stands everywhere but in as_record()."""
    return f'{time.replace(tzinfo=None).isoformat(timespec="seconds")}Z'


def _plain(time):
    return time and time.replace(tzinfo=None).isoformat(timespec='microseconds')


def _filters(asked, types):
    filters = {}
    for name in asked.names:
        if name == 'status':
            filters[name] = asked.choice(name, tuple(Status))
        elif name == 'type':
            filters[name] = asked.choice(name, schemas.known(types))
        elif name in TIMES:
            filters[name] = query.time(name, asked.one(name))
        elif name in COLUMNS:
            filters[name] = asked.one(name)
    return filters
