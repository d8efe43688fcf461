"""/v2/tasks/{task_id}/events, one function per method. See glance/api/routes.py."""

import webob

from glance.api import body
from glance.api.errors import handler
from glance.api.request import Request
from glance.api.views import events as views
from glance.api.views import tasks as task_views
from glance.services import Services

# The largest number that an event can have.
LARGEST = 2**31 - 1


@handler
def index(req: Request, services: Services) -> webob.Response:
    """GET /v2/tasks/{task_id}/events: what happened to a task, in order.

    200  a page of events and the links to other pages
    400  the query cannot be used, or there is a body
    403  policy does not allow it
    404  there is no such task, this caller may not see it, or it has expired
    """
    req.context.require('tasks_api_access')
    req.context.require('get_task_events')
    body.require_empty(req)
    task_id = req.variables['task_id']
    fields = req.read_query()
    limit = fields.limit(req.settings)
    events = services.tasks.events(
        task_id, limit=limit, after=fields.number('marker', LARGEST) or 0, by=req.context.caller
    )
    return webob.Response(
        json={
            'events': [views.as_json(event) for event in events],
            **fields.links(f'{task_views.PATH}/{task_id}/events', events, limit),
        }
    )
