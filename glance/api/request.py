"""The request, as handlers see it."""

import collections.abc
import typing

import webob

from glance.api import query
from glance.api.context import RequestContext
from glance.api.settings import Settings
from glance.services import Services

# Keys of the WSGI environment.
CONTEXT = 'glance.context'
SERVICES = 'glance.services'
SETTINGS = 'glance.settings'
VARIABLES = 'glance.variables'
CLIENT_IS_GONE = 'glance.client_is_gone'  # of glance/server/hanging_up.py


class Request(webob.Request):  # type: ignore[misc]
    """WebOb's request, with the values that the middleware and the router added."""

    @property
    def context(self) -> RequestContext:
        """The caller, and what policy allows them."""
        return typing.cast(RequestContext, self.environ[CONTEXT])

    @property
    def services(self) -> Services:
        return typing.cast(Services, self.environ[SERVICES])

    @property
    def settings(self) -> Settings:
        return typing.cast(Settings, self.environ[SETTINGS])

    @property
    def variables(self) -> dict[str, str]:
        """The values of the variables in the path, which glance/api/routes.py has in braces."""
        return typing.cast(dict[str, str], self.environ[VARIABLES])

    @property
    def base(self) -> str:
        """The absolute URL of this service, without a slash at the end."""
        return self.settings.base or typing.cast(str, self.application_url)

    @property
    def client_is_gone(self) -> collections.abc.Callable[[], bool]:
        """Says whether the client has hung up, or its server lets it wait no longer."""
        gone = self.environ.get(CLIENT_IS_GONE, lambda: False)
        return typing.cast('collections.abc.Callable[[], bool]', gone)

    def read_query(self) -> query.Query:
        """The query string. Raises Invalid if it cannot be decoded."""
        return query.Query(self.environ.get('QUERY_STRING', ''))
