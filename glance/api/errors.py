"""Errors become HTTP answers here, and only here."""

import html
import json

import webob
import webob.dec
import webob.util

from glance.api import request
from glance.domain import errors

STATUS = {
    errors.Invalid: 400,
    errors.ImportFailed: 400,  # of a request, not of a run: the source is refused at once
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.RangeNotSatisfiable: 416,
    errors.Unavailable: 503,
}

PAGE = """\
<html>
 <head>
  <title>{status}</title>
 </head>
 <body>
  <h1>{status}</h1>
  {sentence}
 </body>
</html>
"""


class HTTPError(Exception):
    """An answer whose reason lies in HTTP, so that no other room knows it."""

    def __init__(self, status, sentence, headers=None):
        super().__init__(sentence)
        self.status = status
        self.headers = headers


class handler(webob.dec.wsgify):  # noqa: N801 - it is used as a decorator
    """WebOb's wsgify, extended by one thing: errors raised on purpose are answered."""

    RequestClass = request.Request

    def call_func(self, req):
        try:
            return self.func(req, req.services)
        except HTTPError as error:
            return answer(req.environ, error.status, str(error), error.headers)
        except errors.GlanceError as error:
            status = status_of(error)
            if status is None:
                raise
            return answer(req.environ, status, str(error))


def status_of(error):
    """The HTTP status of an error, by the nearest of its classes; None: not the caller's."""
    return next((STATUS[cls] for cls in type(error).__mro__ if cls in STATUS), None)


def answer(environ, status, sentence, headers=None):
    """An error in the form that the request accepts: HTML, JSON or plain text."""
    title = webob.util.status_reasons[status]
    code = f'{status} {title}'
    accept = environ.get('HTTP_ACCEPT', '')
    if 'html' in accept or '*/*' in accept:
        kind = 'text/html'
        body = PAGE.format(status=code, sentence=html.escape(sentence))
    elif 'json' in accept:
        kind = 'application/json'
        body = json.dumps({'message': sentence, 'code': code, 'title': title})
    else:
        kind = 'text/plain'
        body = f'{code}\n\n{sentence}\n'
    made = webob.Response(
        # What came as half a surrogate pair is not text that could be sent back.
        body=body.encode('utf-8', 'backslashreplace'),
        status=status,
        content_type=kind,
        charset=None if kind == 'application/json' else 'UTF-8',
    )
    made.headers.update(headers or {})
    return made
