"""Which versions of the API there are. Needs no identity."""

import webob

from glance.api.errors import handler

CURRENT = 'v2.17'
# v2.12 stands for tasks of an image; clients that do not see it refuse to ask for them.
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
def choices(req, services):
    """GET / and whatever begins with another version.

    300  the versions to choose from
    """
    return webob.Response(status=300, json=_document(req))


@handler
def show(req, services):
    """GET /versions: the same as an ordinary answer.

    200  the versions
    """
    return webob.Response(json=_document(req))


def _document(req):
    links = [{'rel': 'self', 'href': f'{req.base}/v2/'}]
    return {
        'versions': [
            {'id': CURRENT, 'status': 'CURRENT', 'links': links},
            *({'id': each, 'status': 'SUPPORTED', 'links': links} for each in SUPPORTED),
        ]
    }
