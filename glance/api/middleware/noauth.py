"""Identity without identities: for one machine, where whoever is on it may do everything."""

import ipaddress
import re
import urllib.parse

from glance.api import context, errors, request

# All of a Host header: what follows the port would end up in links of ours.
_HOST = re.compile(r'(\[(?P<bracketed>[0-9a-fA-F:.]+)\]|(?P<name>[\w.-]+))(:[0-9]{1,5})?', re.A)

ROLES = ['admin', 'member', 'reader']


class NoAuth:
    """Makes every request one of an administrator of noauth_project.

    A page that a browser on this machine shows could make its own name point
    to a loopback address and call us as if we were its server. The Host header
    then still has its name, so only names that are ours are answered.
    """

    def __init__(self, app, conf, enforcer):
        self._app = app
        self._project = conf.noauth_project
        self._enforcer = enforcer
        self._any_host = conf.noauth_allow_remote
        self._hosts = {'localhost', conf.bind_host.lower()}
        if conf.public_endpoint:
            self._hosts.add(urllib.parse.urlsplit(conf.public_endpoint).hostname)

    def __call__(self, environ, start_response):
        host = environ.get('HTTP_HOST')
        if not (self._any_host or host is None or self._is_ours(host)):
            return errors.answer(
                environ,
                403,
                f'The Host header says "{host[:80]}", which is no name of this service. It knows '
                'its callers by nothing else, so it answers to loopback addresses, bind_host and '
                'the host of public_endpoint only, unless noauth_allow_remote is set.',
            )(environ, start_response)
        environ[request.CONTEXT] = context.RequestContext(
            self._enforcer,
            project_id=self._project,
            roles=ROLES,
            request_id=environ.get('openstack.request_id'),
            global_request_id=environ.get('openstack.global_request_id'),
        )
        return self._app(environ, start_response)

    def _is_ours(self, host):
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
