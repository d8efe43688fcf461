"""The WSGI application: a table of routes within a pipeline of middleware."""

import functools

from oslo_middleware import request_id

from glance.api import policies, routes, settings
from glance.api.middleware.faults import Faults
from glance.api.middleware.healthcheck import Healthcheck
from glance.api.middleware.healthcheck import register_opts as register_healthcheck_opts
from glance.api.middleware.limits import Limits
from glance.api.middleware.noauth import NoAuth


def register_opts(conf):
    """Register the options of the libraries that this room uses."""
    policies.register_opts(conf)
    register_healthcheck_opts(conf)


def build(conf, services):
    """The application that serves these services.

    conf      oslo.config's ConfigOpts, with the options of glance.conf
    services  has the attributes tasks and images, as in glance/services

    Raises ConfigError for a configuration that cannot be served.
    """
    register_opts(conf)
    enforcer = policies.enforcer(conf)
    # From the outside in. The request id comes first because every answer has one, errors
    # too. /healthcheck asks neither for a name nor for limits, and must answer while the rest
    # cannot. All that follows may fail, so faults are caught around it; what is too large is
    # refused before anybody thinks about it; and who asks is known before what is asked for.
    pipeline = (
        request_id.RequestId,
        functools.partial(Healthcheck, conf=conf),
        Faults,
        functools.partial(Limits, conf=conf),
        functools.partial(NoAuth, conf=conf, enforcer=enforcer),
    )
    app = routes.Router(routes.ROUTES, services, settings.of(conf))
    for middleware in reversed(pipeline):
        app = middleware(app)
    return app
