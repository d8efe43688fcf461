"""/healthcheck for load balancers, by the middleware of oslo.middleware."""

import collections.abc
import importlib.metadata
import typing
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import webob
from oslo_middleware import healthcheck
from oslo_middleware.healthcheck import opts, pluginbase

from glance.api.errors import error_response
from glance.domain import errors

Lacks = collections.abc.Callable[[], list[str]]
Results = list[typing.Any]  # oslo.middleware's HealthcheckResult

PATH = '/healthcheck'
ALLOW = {'Allow': 'GET, HEAD, OPTIONS'}


def register_opts(conf: typing.Any) -> None:
    conf.register_opts(opts.HEALTHCHECK_OPTS, group='healthcheck')
    conf.register_opts(opts.DISABLE_BY_FILE_OPTS, group='healthcheck')


class _Check(healthcheck.Healthcheck):
    """The health check, which tells in its detailed form also what tasks wait for.

    lacks  lacks(): a sentence each. They do not make the service unhealthy: it can accept tasks
    """

    def __init__(self, app: WSGIApplication, conf: typing.Any, lacks: Lacks) -> None:
        super().__init__(app, conf)
        self._lacks = lacks

    def _make_text_response(self, results: Results, healthy: bool) -> tuple[str, str]:
        text: tuple[str, str] = super()._make_text_response(self._with_lacks(results), healthy)
        return text

    def _make_json_response(self, results: Results, healthy: bool) -> tuple[str, str]:
        json: tuple[str, str] = super()._make_json_response(self._with_lacks(results), healthy)
        return json

    def _make_html_response(self, results: Results, healthy: bool) -> tuple[str, str]:
        html: tuple[str, str] = super()._make_html_response(self._with_lacks(results), healthy)
        return html

    def _with_lacks(self, results: Results) -> Results:
        if not self._show_details:
            return results
        return [*results, *(pluginbase.HealthcheckResult(True, one) for one in self._lacks())]

    # The template of oslo.middleware gives an empty body if no check is configured.
    PLAIN_RESPONSE_TEMPLATE = (
        '{% for reason in reasons %}{{ reason or "" }}\n{% else %}OK{% endfor %}'
    )


class Healthcheck:
    """Responds "OK", or 503 while the file that disable_by_file_path names exists.

    lacks  lacks(): what accepted tasks wait for, for the detailed form; a sentence each
    """

    def __init__(self, app: WSGIApplication, conf: typing.Any, lacks: Lacks) -> None:
        self._app = app
        if conf.healthcheck.disable_by_file_path:
            # An operator who names the file wants it checked.
            conf.set_default('backends', ['disable_by_file'], group='healthcheck')
        backends = importlib.metadata.entry_points(group=_Check.NAMESPACE)
        for name in conf.healthcheck.backends:
            if name not in backends.names:
                raise errors.ConfigError(
                    f'[healthcheck] backends = {name} is not known; there are '
                    f'{", ".join(sorted(backends.names))}.'
                )
        try:
            self._check = _Check(app, conf, lacks)
        except Exception as error:
            raise errors.ConfigError(f'[healthcheck] cannot be used: {error}') from None

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> collections.abc.Iterable[bytes]:
        app = self._app
        if environ['PATH_INFO'] == PATH:
            app = self._found(environ['REQUEST_METHOD'], environ)
        return app(environ, start_response)

    def _found(self, method: str, environ: WSGIEnvironment) -> WSGIApplication:
        if method in ('GET', 'HEAD'):
            found: WSGIApplication = self._check
        elif method == 'OPTIONS':
            found = webob.Response(status=204, headers=ALLOW)
        elif method in ('POST', 'PUT', 'PATCH', 'DELETE'):
            sentence = f'{method} cannot be used on {PATH}.'
            found = error_response(environ, 405, sentence, ALLOW)
        else:
            found = self._app  # it answers unknown methods
        return found
