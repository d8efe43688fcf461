"""/healthcheck, for load balancers: oslo.middleware's, at a path of its own."""

from oslo_middleware import healthcheck
from oslo_middleware.healthcheck import opts

PATH = '/healthcheck'


def register_opts(conf):
    conf.register_opts(opts.HEALTHCHECK_OPTS, group='healthcheck')
    conf.register_opts(opts.DISABLE_BY_FILE_OPTS, group='healthcheck')


class _Check(healthcheck.Healthcheck):
    # Where no check is configured the shipped one says nothing at all.
    PLAIN_RESPONSE_TEMPLATE = (
        '{% for reason in reasons %}{{ reason or "" }}\n{% else %}OK{% endfor %}'
    )


class Healthcheck:
    """Answers "OK", or 503 while the file named by [healthcheck] disable_by_file_path is there."""

    def __init__(self, app, conf):
        self._app = app
        if conf.healthcheck.disable_by_file_path:
            # Whoever names the file wants it looked at.
            conf.set_default('backends', ['disable_by_file'], group='healthcheck')
        self._check = _Check(app, conf)

    def __call__(self, environ, start_response):
        app = self._check if environ['PATH_INFO'] == PATH else self._app
        return app(environ, start_response)
