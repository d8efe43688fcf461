"""/healthcheck, for load balancers: oslo.middleware's, at a path of its own."""

from oslo_middleware import healthcheck
from oslo_middleware.healthcheck import opts

PATH = '/healthcheck'


def register_opts(conf):
    conf.register_opts(opts.HEALTHCHECK_OPTS, group='healthcheck')
    conf.register_opts(opts.DISABLE_BY_FILE_OPTS, group='healthcheck')


class Healthcheck:
    """Answers "OK", or 503 while the file named by [healthcheck] disable_by_file_path is there."""

    def __init__(self, app, conf):
        self._app = app
        if conf.healthcheck.disable_by_file_path:
            # Whoever names the file wants it looked at.
            conf.set_default('backends', ['disable_by_file'], group='healthcheck')
        self._check = healthcheck.Healthcheck(app, conf)

    def __call__(self, environ, start_response):
        app = self._check if environ['PATH_INFO'] == PATH else self._app
        return app(environ, start_response)
