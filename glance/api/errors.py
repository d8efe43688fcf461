"""The only place that turns errors into HTTP responses."""

import html
import json
import typing
from wsgiref.types import WSGIEnvironment

import webob
import webob.dec
import webob.util

from glance.api import request
from glance.domain import errors

STATUS: dict[type[BaseException], int] = {
    errors.Invalid: 400,
    errors.TaskFailed: 400,  # raised by a request: what it asks for cannot succeed
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.Unavailable: 503,
    errors.PluginBroke: 500,
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
    """An error in the use of HTTP, which only glance/api knows."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = headers


class handler(webob.dec.wsgify):  # type: ignore[misc]  # noqa: N801 - a decorator
    """WebOb's wsgify, which also turns errors raised on purpose into responses."""

    RequestClass = request.Request

    def call_func(self, req: request.Request) -> webob.Response:
        try:
            return self.func(req, req.services)
        except HTTPError as error:
            return error_response(req.environ, error.status, str(error), error.headers)
        except errors.GlanceError as error:
            status = status_of(error)
            if status is None:
                raise
            return error_response(req.environ, status, str(error))


def status_of(error: BaseException) -> int | None:
    """The HTTP status of an error, by the nearest of its classes. None: an error of our own."""
    return next((STATUS[cls] for cls in type(error).__mro__ if cls in STATUS), None)


def error_response(
    environ: WSGIEnvironment, status: int, sentence: str, headers: dict[str, str] | None = None
) -> typing.Any:
    """A WebOb response in the form that the request accepts: HTML, JSON or plain text."""
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
    response = webob.Response(
        # The sentence may repeat half a surrogate pair, which cannot be encoded.
        body=body.encode('utf-8', 'backslashreplace'),
        status=status,
        content_type=kind,
        charset=None if kind == 'application/json' else 'UTF-8',
    )
    response.headers.update(headers or {})
    return response
