"""glance-api: serves requests, and runs tasks unless glance-conductor is to."""

import gc

gc.disable()  # a tenth of the start: what is imported and built lives as long as the process

from glance import threads

threads.use(threads.GREEN)  # before anything that knows sockets is imported

import contextlib
import ipaddress
import logging
import math
import os
import signal
import socket
import sys

import eventlet
from greenlet import GreenletExit
from oslo_service import service

from glance import bootstrap
from glance.api import app  # noqa: F401 - once, before workers are forked
from glance.cmd import _launchers, _server, _start
from glance.domain import errors

LOG = logging.getLogger(__name__)

PROGRAM = 'glance-api'


def main(argv=None):
    try:
        conf = _start.configure(PROGRAM, argv)
        _check_threads()
        _check_address(conf)
        listener = _listen(conf)
        return _serve(conf, listener)
    except errors.ConfigError as error:
        return _start.fail(PROGRAM, error)
    finally:
        gc.enable()  # for a caller that lives on


def _check_threads():
    if not threads.is_green():
        raise errors.ConfigError(
            'It serves with green threads only. For native ones (GLANCE_THREADS=native) run '
            'glance.wsgi.api:application under uWSGI, gunicorn or another WSGI server.'
        )


def _check_address(conf):
    """noauth makes whoever reaches the port an administrator."""
    if conf.auth_strategy != 'noauth' or conf.noauth_allow_remote:
        return
    host = conf.bind_host
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == 'localhost'
    if not loopback:
        raise errors.ConfigError(
            f'bind_host = {host} is not a loopback address, and auth_strategy = noauth lets '
            'everybody in who reaches it. Set noauth_allow_remote = true if that is wanted.'
        )


def _listen(conf):
    """The listening socket; taken before anything else, so that a second start harms nothing."""
    family = socket.AF_INET6 if ':' in conf.bind_host else socket.AF_INET
    try:
        return socket.create_server(
            (conf.bind_host, conf.bind_port), family=family, backlog=conf.backlog
        )
    except OSError as error:
        raise errors.ConfigError(
            f'{conf.bind_host}:{conf.bind_port} cannot be listened on: '
            f'{os.strerror(error.errno) if error.errno else error}.'
        ) from None


def _serve(conf, listener):
    if conf.task.conduct:
        bootstrap.check_executor(conf)  # what cannot run ends the start here
    folders = bootstrap.Folders(conf, staging=conf.task.conduct)
    _announce(conf, listener, folders)
    bootstrap.prepare_database(conf, folders)
    if conf.workers == 1:
        # Built here, not in the service's thread, so that what is wrong ends the start.
        api = ApiService(conf, listener, bootstrap.Application(conf, folders))
        launcher = _launchers.OneProcess(conf, restart_method='mutate')
    else:
        launcher = _launchers.ManyProcesses(conf)
        api = ApiService(conf, listener, None, serves=launcher.announce)
    gc.freeze()
    gc.enable()
    launcher.launch_service(api, workers=conf.workers)
    return launcher.wait() or getattr(launcher, 'status', 0) or int(api.failed)


def _announce(conf, listener, folders):
    host, port = listener.getsockname()[:2]
    shown = f'[{host}]' if ':' in host else host
    LOG.info('glance-api listens on http://%s:%s', shown, port, extra={'action': 'listening'})
    _start.say_where(conf, folders, staging=conf.task.conduct)
    if conf.task.conduct:
        _start.say_who(conf, f'{conf.workers} process(es)')
    else:
        LOG.info('Tasks are run by glance-conductor, not here ([task] conduct = false)')


class ApiService(service.ServiceBase):
    """The WSGI server and the executor of one process, for oslo.service to start and stop.

    application  None in the parent of workers: each makes its own after the fork
    serves       called once requests are served
    """

    def __init__(self, conf, listener, application, *, serves=lambda: None):
        self._conf = conf
        self._listener = listener
        self._application = application
        self._serves = serves
        self._server = None
        self._stopping = False
        self.failed = False  # it ended, and nobody had told it to

    def start(self):
        try:
            if self._application is None:  # a forked worker: everything is made after the fork
                folders = bootstrap.Folders(self._conf, staging=self._conf.task.conduct)
                self._application = bootstrap.Application(self._conf, folders)
            self._application.start()
        except errors.ConfigError as error:
            sys.exit(_start.fail(PROGRAM, error))
        self._server = eventlet.spawn(
            _server.serve,
            self._listener,
            self._application.api,
            socket_timeout=self._conf.client_socket_timeout or None,
        )
        self._server.link(self._server_ended)
        self._serves()
        LOG.info('Serving as process %s', os.getpid(), extra={'action': 'serving'})

    def _server_ended(self, _server):
        """Serving ends only when it is told to; a process that does not serve must not live."""
        if not self._stopping:
            LOG.critical('The server ended by itself; so does this process')
            self.failed = True
            os.kill(os.getpid(), signal.SIGTERM)

    def stop(self, graceful=False):
        if self._server is None or self._stopping:  # the parent of workers; one that lost it
            return
        self._stopping = True
        LOG.info('Stopping: no new requests, no new tasks')
        grace = _start.grace(self._conf)
        tasks = eventlet.spawn(self._application.executor.stop, grace)
        self._server.kill()  # it accepts no more, and waits for requests that have begun
        patience = None if grace == math.inf else grace  # None: no timeout
        with eventlet.Timeout(patience, False), contextlib.suppress(Exception, GreenletExit):
            self._server.wait()
        tasks.wait()
        self._application.close()
        LOG.info('Stopped')

    def wait(self):
        pass  # stop() returns when all is done

    def reset(self):
        pass


if __name__ == '__main__':
    sys.exit(main())
