"""Refuses a request that is too large, before it is read."""

import collections.abc
import typing
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from glance.api import body, errors

# Digits of the largest Content-Length that is read as a number: an exabyte has 19.
MAX_LENGTH_DIGITS = 18


class Limits:
    """Bodies over max_json_body_size: 413; request ids over max_request_id_length: 431.

    glance/api/body.py counts a chunked body, whose length is unknown, while it
    reads it. Image data have limits of their own.
    """

    def __init__(self, app: WSGIApplication, conf: typing.Any) -> None:
        self._app = app
        self._body: int = conf.max_json_body_size
        self._request_id: int = conf.max_request_id_length

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> collections.abc.Iterable[bytes]:
        refusal = self._refusal(environ)
        if refusal:
            status, sentence = refusal
            response = errors.error_response(environ, status, sentence)
            return typing.cast(collections.abc.Iterable[bytes], response(environ, start_response))
        environ[body.LIMIT] = self._body
        return self._app(environ, start_response)

    def _refusal(self, environ: WSGIEnvironment) -> tuple[int, str] | None:
        """The status and the sentence of the refusal, or None."""
        given = environ.get('HTTP_X_OPENSTACK_REQUEST_ID', '')
        if 0 < self._request_id < len(given):
            return 431, f'X-OpenStack-Request-ID is longer than {self._request_id} characters.'
        length = environ.get('CONTENT_LENGTH')
        if length:
            if not (length.isascii() and length.isdigit()):
                return 400, 'The Content-Length is not a number.'
            data = environ.get('CONTENT_TYPE', '').startswith('application/octet-stream')
            if len(length) > MAX_LENGTH_DIGITS or (not data and int(length) > self._body):
                return 413, str(body.too_large(self._body))
        return None
