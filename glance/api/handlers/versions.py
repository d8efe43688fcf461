"""The versions of the API. These calls need no identity."""

import typing

import webob

from glance.api.errors import handler
from glance.api.request import Request
from glance.services import Services

CURRENT = 'v2.17'
# Clients ask for the tasks of an image only where v2.12 is among the versions.
SUPPORTED = (
    'v2.15',
    'v2.12',
    'v2.9',
    'v2.7',
    'v2.6',
    'v2.5',
    'v2.4',
    'v2.3',
    'v2.2',
    'v2.1',
    'v2.0',
)
KNOWN = frozenset((CURRENT, *SUPPORTED, 'v2'))


@handler
def choices(req: Request, services: Services) -> webob.Response:
    """GET /, and any path that begins with another version.

    300  the versions to choose from
    """
    return webob.Response(status=300, json=_document(req))


@handler
def show(req: Request, services: Services) -> webob.Response:
    """GET /versions: the same document with status 200.

    200  the versions
    """
    return webob.Response(json=_document(req))


def _document(req: Request) -> dict[str, typing.Any]:
    links = [{'rel': 'self', 'href': f'{req.base}/v2/'}]
    return {
        'versions': [
            {'id': CURRENT, 'status': 'CURRENT', 'links': links},
            *({'id': each, 'status': 'SUPPORTED', 'links': links} for each in SUPPORTED),
        ]
    }
