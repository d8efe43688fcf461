"""Refuses what is too large before it is read."""

from glance.api import body, errors

LENGTH_DIGITS = 18  # more bytes than that nobody has


class Limits:
    """Bodies over max_json_body_size: 413; request ids over max_request_id_length: 431.

    A body that is not announced (chunked) is counted while it is read, in
    glance/api/body.py. Image data are not JSON and have their own limits.
    """

    def __init__(self, app, conf):
        self._app = app
        self._body = conf.max_json_body_size
        self._request_id = conf.max_request_id_length

    def __call__(self, environ, start_response):
        refusal = self._refusal(environ)
        if refusal:
            status, sentence = refusal
            return errors.answer(environ, status, sentence)(environ, start_response)
        environ[body.LIMIT] = self._body
        return self._app(environ, start_response)

    def _refusal(self, environ):
        given = environ.get('HTTP_X_OPENSTACK_REQUEST_ID', '')
        if 0 < self._request_id < len(given):
            return 431, f'X-OpenStack-Request-ID is longer than {self._request_id} characters.'
        length = environ.get('CONTENT_LENGTH')
        if length:
            if not (length.isascii() and length.isdigit()):
                return 400, 'The Content-Length is not a number.'
            data = environ.get('CONTENT_TYPE', '').startswith('application/octet-stream')
            if len(length) > LENGTH_DIGITS or (not data and int(length) > self._body):
                return 413, str(body.too_large(self._body))
        return None
