"""The WSGI application: a table of routes within a pipeline of middleware."""

import functools
import typing
from wsgiref.types import WSGIApplication

from oslo_middleware import request_id

from glance.api import routes, settings
from glance.api.middleware.faults import Faults
from glance.api.middleware.healthcheck import Healthcheck
from glance.api.middleware.healthcheck import register_opts as register_healthcheck_opts
from glance.api.middleware.limits import Limits
from glance.api.middleware.noauth import NoAuth
from glance.api.policies import enforcer
from glance.services import Services


def register_opts(conf: typing.Any) -> None:
    """Register the options of the libraries that this room uses."""
    enforcer.register_opts(conf)
    register_healthcheck_opts(conf)


def build(
    conf: typing.Any,
    services: Services,
    *,
    policy_interval: float = enforcer.SECONDS_BETWEEN_LOOKS,
) -> WSGIApplication:
    """The application that serves these services.

    conf             oslo.config's ConfigOpts, with the options of glance.conf
    policy_interval  seconds between two looks for changes of the policy files

    Raises ConfigError for a configuration that cannot be served.
    """
    register_opts(conf)
    # The outermost comes first:
    # - Every response has a request id, an error too.
    # - /healthcheck needs neither identity nor limits, and answers while the rest cannot.
    # - Faults catches the exceptions of all that follow.
    # - Limits refuses a large request before anything else looks at it.
    # - NoAuth sets the caller, whom handlers and policy need.
    pipeline = (
        request_id.RequestId,
        functools.partial(Healthcheck, conf=conf, lacks=services.tasks.lacks),
        Faults,
        functools.partial(Limits, conf=conf),
        functools.partial(NoAuth, conf=conf, enforcer=enforcer.build(conf, policy_interval)),
    )
    app: WSGIApplication = routes.Router(routes.ROUTES, services, settings.from_conf(conf))
    for middleware in reversed(pipeline):
        app = middleware(app)
    return app
