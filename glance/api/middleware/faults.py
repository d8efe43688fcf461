"""The one place where an unexpected exception becomes an answer."""

import logging

from glance.api import errors

LOG = logging.getLogger(__name__)


class Faults:
    """Answers 500, without a word about the inside, and logs what happened."""

    def __init__(self, app):
        self._app = app

    def __call__(self, environ, start_response):
        try:
            return self._app(environ, start_response)
        except Exception:
            LOG.exception(
                '%s %r failed unexpectedly',
                environ['REQUEST_METHOD'],
                environ['PATH_INFO'],
                extra={'action': 'request_failed'},
            )
        return errors.answer(
            environ,
            500,
            'Something went wrong inside the service. Its log says more under the request id '
            'that is in the headers of this answer.',
        )(environ, start_response)
