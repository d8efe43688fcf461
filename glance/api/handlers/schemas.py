"""/v2/schemas: the schemas of the answers. Clients build their models from them."""

import collections.abc
import typing

import webob

from glance.api.errors import handler
from glance.api.request import Request
from glance.api.schemas import images, tasks
from glance.domain import errors
from glance.services import Services


@handler
def show(req: Request, services: Services) -> webob.Response:
    """GET /v2/schemas/{name}: one schema.

    200  the schema
    404  there is no schema with this name
    """
    name = req.variables['name']
    make = _DOCUMENTS.get(name)
    if make is None:
        raise errors.NotFound(f'There is no schema {name[:80]}.')
    return webob.Response(json=make(req, services))


@handler
def show_input(req: Request, services: Services) -> webob.Response:
    """GET /v2/schemas/tasks/{type}: the schema of the input of a task type.

    200  the schema
    404  users cannot create tasks of this type
    500  the plug-in of the task type does not work; the log says why
    """
    name = req.variables['type']
    try:
        schema = services.tasks.type(name).input_schema
    except errors.Invalid:
        raise errors.NotFound(f'There is no task type {name[:80]}.') from None
    return webob.Response(json={'name': name, **schema})


_DOCUMENTS: dict[
    str, collections.abc.Callable[[Request, Services], collections.abc.Mapping[str, typing.Any]]
] = {
    'image': lambda req, services: images.image(req.settings),
    'images': lambda req, services: images.collection(req.settings),
    'member': lambda req, services: images.MEMBER,
    'members': lambda req, services: images.MEMBERS,
    'task': lambda req, services: tasks.task(services.tasks.known_types),
    'tasks': lambda req, services: tasks.collection(services.tasks.known_types),
}
