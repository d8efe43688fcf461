"""The request, as handlers see it."""

import webob

from glance.api import query

CONTEXT = 'glance.context'
SERVICES = 'glance.services'
SETTINGS = 'glance.settings'
VARIABLES = 'glance.variables'


class Request(webob.Request):
    """WebOb's request and what the middleware and the router found out about it."""

    @property
    def context(self):
        """Who asks: a glance.api.context.RequestContext."""
        return self.environ[CONTEXT]

    @property
    def services(self):
        return self.environ[SERVICES]

    @property
    def settings(self):
        return self.environ[SETTINGS]

    @property
    def variables(self):
        """The parts of the path that stand in braces in glance/api/routes.py."""
        return self.environ[VARIABLES]

    @property
    def base(self):
        """The absolute URL of this service, without a slash at the end."""
        return self.settings.base or self.application_url

    def read_query(self):
        """The query string. Raises Invalid if it cannot be decoded."""
        return query.Query(self.environ.get('QUERY_STRING', ''))
