"""The whole API as one table: URL, method, function."""

import re

from glance.api import request
from glance.api.errors import HTTPError, answer, handler
from glance.api.handlers import images, schemas, tasks, versions
from glance.domain.image import UUID

METHODS = frozenset(('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'))


def _not_built(what, instead=''):
    """A row of the images API that clients know and that is not there yet."""

    @handler
    def refuse(req, services):
        raise HTTPError(501, f'{what} is not built yet.{instead}')

    return refuse


_IMPORT = ' POST /v2/tasks with type "import" makes an image of what stands at an address.'
_CREATE = _not_built('Creating an image record', _IMPORT)
_UPDATE = _not_built('Changing an image')
_UPLOAD = _not_built('Uploading image data', _IMPORT)
_INTEROPERABLE_IMPORT = _not_built('Importing into an image record', _IMPORT)
_STATE = _not_built('Deactivating and reactivating images')
_LOCATIONS = _not_built('Reading and adding locations of images')
_MEMBERS = _not_built('Sharing images with other projects')
_TAGS = _not_built('Adding and removing single tags')
_STORES = _not_built('Removing an image from one store')
_INFO = _not_built('This part of the discovery')
_CACHE = _not_built('The image cache')

# A variable in braces stands for one part of a path; one that ends in _id for a UUID.
ROUTES = {
    '/': {'GET': versions.choices},
    '/versions': {'GET': versions.show},
    '/versions/': {'GET': versions.show},
    '/v2/schemas/{name}': {'GET': schemas.show},
    '/v2/tasks': {'GET': tasks.index, 'POST': tasks.create},
    '/v2/tasks/{task_id}': {'GET': tasks.show, 'DELETE': tasks.delete},
    '/v2/images': {'GET': images.index, 'POST': _CREATE},
    '/v2/images/{image_id}': {'GET': images.show, 'PATCH': _UPDATE, 'DELETE': images.delete},
    '/v2/images/{image_id}/tasks': {'GET': images.tasks},
    '/v2/images/{image_id}/file': {
        'GET': images.download,
        'HEAD': images.download,
        'PUT': _UPLOAD,
    },
    '/v2/images/{image_id}/stage': {'PUT': _UPLOAD},
    '/v2/images/{image_id}/import': {'POST': _INTEROPERABLE_IMPORT},
    '/v2/images/{image_id}/actions/deactivate': {'POST': _STATE},
    '/v2/images/{image_id}/actions/reactivate': {'POST': _STATE},
    '/v2/images/{image_id}/locations': {'GET': _LOCATIONS, 'POST': _LOCATIONS},
    '/v2/images/{image_id}/members': {'GET': _MEMBERS, 'POST': _MEMBERS},
    '/v2/images/{image_id}/members/{member}': {
        'GET': _MEMBERS,
        'PUT': _MEMBERS,
        'DELETE': _MEMBERS,
    },
    '/v2/images/{image_id}/tags/{tag}': {'PUT': _TAGS, 'DELETE': _TAGS},
    '/v2/stores/{store}/{image_id}': {'DELETE': _STORES},
    '/v2/info/import': {'GET': _INFO},
    '/v2/info/stores': {'GET': _INFO},
    '/v2/info/stores/detail': {'GET': _INFO},
    '/v2/info/usage': {'GET': _INFO},
    '/v2/cache': {'GET': _CACHE, 'DELETE': _CACHE},
    '/v2/cache/{image_id}': {'PUT': _CACHE, 'DELETE': _CACHE},
    '/v2/cache/clean': {'POST': _CACHE},
    '/v2/cache/prune': {'POST': _CACHE},
    '/v2/cache/nodes/{image_id}': {'GET': _CACHE},
}

_VERSION = re.compile(r'v[0-9]+(\.[0-9]+)?')
_MEDIA_TYPE = re.compile(r'application/vnd\.openstack\.images-(v[0-9.]+)')


class Router:
    """Finds the function for a request: 404, 405 and 501 need no handler."""

    def __init__(self, routes, services, settings):
        self._services = services
        self._settings = settings
        self._root = _Node()
        for url, functions in routes.items():
            self._root.add(url.split('/')[1:], functions)

    def __call__(self, environ, start_response):
        environ[request.SERVICES] = self._services
        environ[request.SETTINGS] = self._settings
        return self._find(environ)(environ, start_response)

    def _find(self, environ):
        method = environ['REQUEST_METHOD']
        if method not in METHODS:
            return answer(environ, 501, f'No call of this service uses {method[:80]}.')
        try:
            path = (environ['PATH_INFO'] or '/').encode('latin-1').decode()
        except UnicodeError:
            return answer(environ, 400, 'The path is not UTF-8.')
        if not path.startswith('/'):
            return answer(environ, 404, 'The path does not begin with a slash.')
        parts = path[1:].split('/')
        if _VERSION.fullmatch(parts[0]):
            version = parts.pop(0)
        else:
            version = _version(parts[0], environ.get('HTTP_ACCEPT', ''))
        if version is not None:
            if version not in versions.KNOWN:
                return versions.choices
            parts = ['v2', *parts]
        variables = {}
        functions = self._root.find(parts, variables)
        if functions is None:
            return answer(environ, 404, f'There is nothing at {path[:200]}.')
        function = functions.get(method)
        if function is None:
            return answer(
                environ,
                405,
                f'{method} cannot be used on {path[:200]}.',
                {'Allow': ', '.join(functions)},
            )
        environ[request.VARIABLES] = variables
        return function


def _version(first, accept):
    """The version that Accept asks for where the path has none, or None."""
    if first in ('', 'versions') or 'vnd.openstack' not in accept:
        return None
    found = _MEDIA_TYPE.search(accept)
    return found[1] if found else None


class _Node:
    """One part of the paths in the table, and what may follow it."""

    def __init__(self):
        self._fixed = {}
        self._variable = None
        self._functions = None

    def add(self, parts, functions):
        if not parts:
            self._functions = functions
        elif parts[0].startswith('{'):
            name, node = self._variable or (parts[0][1:-1], _Node())
            self._variable = name, node
            node.add(parts[1:], functions)
        else:
            self._fixed.setdefault(parts[0], _Node()).add(parts[1:], functions)

    def find(self, parts, variables):
        """The functions for a path by method, or None; fills in the variables."""
        if not parts:
            return self._functions
        if parts[0] in self._fixed:
            return self._fixed[parts[0]].find(parts[1:], variables)
        if self._variable is None:
            return None
        name, node = self._variable
        if not parts[0] or (name.endswith('_id') and not UUID.fullmatch(parts[0])):
            return None
        variables[name] = parts[0]
        return node.find(parts[1:], variables)
