"""glance-api: serves requests, and runs tasks unless [task] conduct is false."""

import gc

# Collecting garbage takes a tenth of the start, for nothing: what is imported and built at the
# start lives as long as the process.
gc.disable()

from glance import threads

threads.use(threads.GREEN)  # before anything that knows sockets is imported

import collections.abc
import contextlib
import functools
import ipaddress
import logging
import os
import socket
import sys

from oslo_config import cfg

from glance import bootstrap, database
from glance.api import app  # noqa: F401 - imported once, before the fork
from glance.cmd import _start
from glance.domain import errors
from glance.folders import Folders
from glance.server import launchers, service

LOG = logging.getLogger(__name__)

PROGRAM = 'glance-api'


def main(argv: collections.abc.Sequence[str] | None = None) -> int:
    try:
        with _start.errors_explained():
            conf = _start.configure(PROGRAM, argv, runs_tasks=_runs_tasks)
            _check_threads()
            _check_address(conf)
            listener = _listen(conf)
            launcher, api = _launch(
                conf, listener, functools.partial(_start.reload, conf, PROGRAM, argv, _runs_tasks)
            )
        status: int = launcher.wait() or getattr(launcher, 'status', 0) or int(api.failed)
        return status
    except errors.ConfigError as error:
        return _start.fail(PROGRAM, error)
    finally:
        gc.enable()  # the caller may live on


def _runs_tasks(conf: cfg.ConfigOpts) -> bool:
    return bool(conf.task.conduct)


def _check_threads() -> None:
    """Raises ConfigError unless threads are green."""
    if not threads.is_green():
        raise errors.ConfigError(
            'It serves with green threads only. To use native threads (GLANCE_THREADS=native), '
            'run glance.wsgi.api:application under uWSGI, gunicorn or another WSGI server.'
        )


def _check_address(conf: cfg.ConfigOpts) -> None:
    """Raises ConfigError for a remote address with noauth.

    With noauth, everybody who can reach the port is an administrator.
    """
    if conf.auth_strategy != 'noauth' or conf.noauth_allow_remote:
        return
    host = conf.bind_host
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == 'localhost'
    if not loopback:
        raise errors.ConfigError(
            f'bind_host = {host} is not a loopback address, and with auth_strategy = noauth '
            'everybody who can reach it is an administrator. Set noauth_allow_remote = true '
            'if that is wanted.'
        )


def _listen(conf: cfg.ConfigOpts) -> socket.socket:
    """The listening socket. It comes first, so that a second glance-api fails harmlessly."""
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


def _launch(
    conf: cfg.ConfigOpts, listener: socket.socket, reload: collections.abc.Callable[[], bool]
) -> tuple[launchers.OneProcess | launchers.ManyProcesses, service.ApiService]:
    if conf.task.conduct:
        bootstrap.check_executor(conf)  # what cannot run tasks does not start
    folders = Folders(conf, staging=conf.task.conduct)
    _announce(conf, listener, folders)
    database.prepare_database(conf, folders)
    build_service = functools.partial(
        service.ApiService,
        listener,
        socket_timeout=conf.client_socket_timeout or None,
        most_per_address=conf.max_waiting_connections_per_address,
        grace=functools.partial(_start.grace, conf),
    )
    launcher: launchers.OneProcess | launchers.ManyProcesses
    if conf.workers == 1:
        # Built here and not in the service's green thread, so that an error ends the start.
        application = bootstrap.Application(conf, folders, has_children=True)
        api = build_service(functools.partial(_started, application))
        launcher = launchers.OneProcess(conf, reload)
    else:
        launcher = launchers.ManyProcesses(conf, reload)
        api = build_service(
            functools.partial(_build_in_worker, conf, launcher.first_to_fail),
            on_serving=launcher.announce,
        )
    gc.freeze()
    gc.enable()
    launcher.launch_service(api, workers=conf.workers)
    return launcher, api


def _started(
    application: bootstrap.Application, tells: collections.abc.Callable[[], bool] = lambda: True
) -> bootstrap.Application:
    """Start an application. An error ends the process with a sentence, if this process tells."""
    with _ends_the_process(tells):
        application.start()
    return application


def _build_in_worker(
    conf: cfg.ConfigOpts, tells: collections.abc.Callable[[], bool]
) -> bootstrap.Application:
    """Build and start the application of a worker. Nothing of it may exist before the fork."""
    with _ends_the_process(tells):
        application = bootstrap.Application(
            conf, Folders(conf, staging=conf.task.conduct), has_children=True
        )
    return _started(application, tells)


@contextlib.contextmanager
def _ends_the_process(tells: collections.abc.Callable[[], bool]) -> collections.abc.Iterator[None]:
    try:
        with _start.errors_explained():
            yield
    except errors.ConfigError as error:
        if tells():
            _start.fail(PROGRAM, error)
        sys.exit(1)


def _announce(conf: cfg.ConfigOpts, listener: socket.socket, folders: Folders) -> None:
    host, port = listener.getsockname()[:2]
    shown = f'[{host}]' if ':' in host else host
    LOG.info('glance-api listens on http://%s:%s', shown, port, extra={'action': 'listening'})
    _start.log_paths(conf, folders, staging=conf.task.conduct)
    if conf.task.conduct:
        _start.log_executor(conf, f'{conf.workers} process(es)')
    else:
        LOG.info('Tasks are run by glance-conductor, not here ([task] conduct = false)')


if __name__ == '__main__':
    sys.exit(main())
