"""Identity without authentication: everybody who can connect is an administrator."""

import collections.abc
import ipaddress
import re
import typing
import urllib.parse
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from glance.api import context, errors, request
from glance.api.policies.enforcer import Enforcer

# The whole of a Host header: text after the port would be copied into our links.
_HOST = re.compile(r'(\[(?P<bracketed>[0-9a-fA-F:.]+)\]|(?P<name>[\w.-]+))(:[0-9]{1,5})?', re.A)

ROLES = ['admin', 'member', 'reader']


class NoAuth:
    """Makes every caller an administrator of noauth_project.

    A web page in a browser on this machine could make its own host name point
    to a loopback address, and then call this service as its own server. The
    Host header still has that name, so every foreign name is refused.
    """

    def __init__(self, app: WSGIApplication, conf: typing.Any, enforcer: Enforcer) -> None:
        self._app = app
        self._project = conf.noauth_project
        self._enforcer = enforcer
        self._any_host = conf.noauth_allow_remote
        self._hosts: set[str | None] = {'localhost', conf.bind_host.lower()}
        if conf.public_endpoint:
            self._hosts.add(urllib.parse.urlsplit(conf.public_endpoint).hostname)

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> collections.abc.Iterable[bytes]:
        host = environ.get('HTTP_HOST')
        if not (self._any_host or host is None or self._is_ours(host)):
            response = errors.error_response(
                environ,
                403,
                f'The Host header says "{host[:80]}", which is no name of this service. Callers '
                'are not authenticated, so the service accepts only loopback addresses, bind_host '
                'and the host of public_endpoint, unless noauth_allow_remote is set.',
            )
            return typing.cast(collections.abc.Iterable[bytes], response(environ, start_response))
        environ[request.CONTEXT] = context.RequestContext(
            self._enforcer,
            project_id=self._project,
            roles=ROLES,
            request_id=environ.get('openstack.request_id'),
            global_request_id=environ.get('openstack.global_request_id'),
        )
        return self._app(environ, start_response)

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if not found:
            return False
        name = (found['bracketed'] or found['name']).lower()
        if name in self._hosts:
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False
