"""The whole API as one table: URL, method, function.

HEAD answers as GET does, without the body, and OPTIONS says what a URL can be asked.
"""

import collections.abc
import re
import typing
from wsgiref.types import StartResponse, WSGIEnvironment

import webob

from glance.api import request
from glance.api.errors import HTTPError, error_response, handler
from glance.api.handlers import events, images, schemas, tasks, versions
from glance.api.settings import Settings
from glance.domain.image import UUID
from glance.services import Services

# URL to method to handler.
Table = dict[str, dict[str, typing.Any]]

METHODS = frozenset(('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'))


def _not_built(what: str, instead: str = '') -> typing.Any:
    """A handler for a call that clients know but this service does not have yet: 501."""

    @handler
    def refuse(req: request.Request, services: Services) -> typing.NoReturn:
        raise HTTPError(501, f'{what} is not built yet.{instead}')

    return refuse


_IMPORT = ' POST /v2/tasks with type "import" makes an image from a URL.'
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

# A variable in braces matches one part of a path. If its name ends in _id, it must be a UUID.
ROUTES: Table = {
    '/': {'GET': versions.choices},
    '/versions': {'GET': versions.show},
    '/versions/': {'GET': versions.show},
    '/v2/schemas/{name}': {'GET': schemas.show},
    '/v2/schemas/tasks/{type}': {'GET': schemas.show_input},
    '/v2/tasks': {'GET': tasks.index, 'POST': tasks.create},
    '/v2/tasks/{task_id}': {'GET': tasks.show, 'DELETE': tasks.delete},
    '/v2/tasks/{task_id}/retry': {'POST': tasks.retry},
    '/v2/tasks/{task_id}/cancel': {'POST': tasks.cancel},
    '/v2/tasks/{task_id}/events': {'GET': events.index},
    '/v2/images': {'GET': images.index, 'POST': _CREATE},
    '/v2/images/{image_id}': {'GET': images.show, 'PATCH': _UPDATE, 'DELETE': images.delete},
    '/v2/images/{image_id}/tasks': {'GET': images.tasks},
    '/v2/images/{image_id}/file': {'GET': images.download, 'PUT': _UPLOAD},
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
    """Finds the handler of a request. Responds with 404, 405 or 501 if there is none."""

    def __init__(self, routes: Table, services: Services, settings: Settings) -> None:
        self._services = services
        self._settings = settings
        self._root = _Node()
        for url, functions in routes.items():
            self._root.add(url.split('/')[1:], functions)

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> collections.abc.Iterable[bytes]:
        environ[request.SERVICES] = self._services
        environ[request.SETTINGS] = self._settings
        response = self._find(environ)(environ, start_response)
        return typing.cast(collections.abc.Iterable[bytes], response)

    def _find(self, environ: WSGIEnvironment) -> typing.Any:
        """The handler for a request, or an error response."""
        method = environ['REQUEST_METHOD']
        if method not in METHODS:
            return error_response(environ, 501, f'No call of this service uses {method[:80]}.')
        try:
            path = (environ['PATH_INFO'] or '/').encode('latin-1').decode()
        except UnicodeError:
            return error_response(environ, 400, 'The path is not UTF-8.')
        if path == '*' and method == 'OPTIONS':
            return _options(METHODS)
        if not path.startswith('/'):
            return error_response(environ, 404, 'The path does not begin with a slash.')
        parts = path[1:].split('/')
        if _VERSION.fullmatch(parts[0]):
            version = parts.pop(0)
        else:
            version = _version(parts[0], environ.get('HTTP_ACCEPT', ''))
        if version is not None:
            if version not in versions.KNOWN:
                return versions.choices
            parts = ['v2', *parts]
        variables: dict[str, str] = {}
        functions = self._root.find(parts, variables)
        if functions is None:
            return error_response(environ, 404, f'There is nothing at {path[:200]}.')
        if method == 'OPTIONS':
            return _options(functions)
        # WebOb leaves out the body of a response to HEAD, and keeps its headers.
        method = 'GET' if method == 'HEAD' else method
        function = functions.get(method)
        if function is None:
            return error_response(
                environ,
                405,
                f'{method} cannot be used on {path[:200]}.',
                {'Allow': _allowed(functions)},
            )
        environ[request.VARIABLES] = variables
        return function


def _allowed(functions: collections.abc.Iterable[str]) -> str:
    """The value of Allow for a URL with these methods."""
    given = ['HEAD', 'OPTIONS'] if 'GET' in functions else ['OPTIONS']
    return ', '.join(dict.fromkeys([*functions, *given]))


def _options(functions: collections.abc.Collection[str]) -> webob.Response:
    return webob.Response(status=204, headers={'Allow': _allowed(functions)})


def _version(first: str, accept: str) -> str | None:
    """The version that the Accept header asks for, or None. Used if the path has none."""
    if first in ('', 'versions') or 'vnd.openstack' not in accept:
        return None
    found = _MEDIA_TYPE.search(accept)
    return found[1] if found else None


class _Node:
    """A tree of the paths in the table: one part of a path, and the parts that may follow."""

    def __init__(self) -> None:
        self._fixed: dict[str, _Node] = {}
        self._variable: tuple[str, _Node] | None = None
        self._functions: dict[str, typing.Any] | None = None

    def add(self, parts: list[str], functions: dict[str, typing.Any]) -> None:
        if not parts:
            self._functions = functions
        elif parts[0].startswith('{'):
            name, node = self._variable or (parts[0][1:-1], _Node())
            self._variable = name, node
            node.add(parts[1:], functions)
        else:
            self._fixed.setdefault(parts[0], _Node()).add(parts[1:], functions)

    def find(self, parts: list[str], variables: dict[str, str]) -> dict[str, typing.Any] | None:
        """The handlers of a path by method, or None. Fills in the variables."""
        if not parts:
            return self._functions
        if parts[0] in self._fixed:
            functions = self._fixed[parts[0]].find(parts[1:], variables)
            if functions is not None:
                return functions
        if self._variable is None:
            return None
        name, node = self._variable
        if not parts[0] or (name.endswith('_id') and not UUID.fullmatch(parts[0])):
            return None
        variables[name] = parts[0]
        return node.find(parts[1:], variables)
