"""The only place that turns an unexpected exception into a response."""

import collections.abc
import logging
import typing
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from glance.api import errors

LOG = logging.getLogger(__name__)


class Faults:
    """Responds with 500, and logs the exception. The response tells nothing about it."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> collections.abc.Iterable[bytes]:
        try:
            return self._app(environ, start_response)
        except Exception:
            LOG.exception(
                '%s %r failed unexpectedly',
                environ['REQUEST_METHOD'],
                environ['PATH_INFO'],
                extra={'action': 'request_failed'},
            )
        response = errors.error_response(
            environ,
            500,
            'Something went wrong inside the service. Its log says more under the request id '
            'that is in the headers of this answer.',
        )
        return typing.cast(collections.abc.Iterable[bytes], response(environ, start_response))
