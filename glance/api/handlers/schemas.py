"""/v2/schemas: what the answers look like, for clients that build their models from it."""

import webob

from glance.api.errors import handler
from glance.api.schemas import images, tasks
from glance.domain import errors


@handler
def show(req, services):
    """GET /v2/schemas/{name}: one document.

    200  the schema
    404  there is none of that name
    """
    name = req.variables['name']
    make = _DOCUMENTS.get(name)
    if make is None:
        raise errors.NotFound(f'There is no schema {name[:80]}.')
    return webob.Response(json=make(req, services))


_DOCUMENTS = {
    'image': lambda req, services: images.image(req.settings),
    'images': lambda req, services: images.collection(req.settings),
    'member': lambda req, services: images.MEMBER,
    'members': lambda req, services: images.MEMBERS,
    'task': lambda req, services: tasks.task(services.tasks.types),
    'tasks': lambda req, services: tasks.collection(services.tasks.types),
}
