"""What oslo.service starts and stops in a process of glance-api."""

import collections.abc
import contextlib
import logging
import math
import os
import signal
import socket
import typing

import eventlet
from oslo_service import service

from glance.server import wsgi_server

LOG = logging.getLogger(__name__)


class Application(typing.Protocol):
    """The service in one process, as bootstrap builds it."""

    api: typing.Any  # the WSGI application

    def start(self) -> None:
        """Begin to run tasks."""

    def stop_tasks(self, grace: float) -> None:
        """End the tasks of this process, or hand them back after grace seconds."""

    def close(self) -> None:
        """Release what the stopped application still holds."""


class ApiService(service.ServiceBase):  # type: ignore[misc]
    """The WSGI server and the application of one process.

    start_application  returns the application of this process, which runs tasks from then on
    socket_timeout     seconds of silence within a request or its answer; None is no limit
    most_per_address   connections of one address whose requests are awaited; 0 is no limit
    grace              called at the stop: seconds that tasks get to end; math.inf is no limit
    on_serving         called when the process serves requests
    """

    def __init__(
        self,
        listener: socket.socket,
        start_application: collections.abc.Callable[[], Application],
        *,
        socket_timeout: float | None,
        most_per_address: int,
        grace: collections.abc.Callable[[], float],
        on_serving: collections.abc.Callable[[], None] = lambda: None,
    ) -> None:
        self._listener = listener
        self._start_application = start_application
        self._socket_timeout = socket_timeout
        self._most_per_address = most_per_address
        self._grace = grace
        self._on_serving = on_serving
        self._application: Application | None = None
        self._server: typing.Any = None  # the green thread that serves
        self._stopping = False
        self.failed = False  # the server ended although nothing had stopped it

    def start(self) -> None:
        self._application = self._start_application()
        self._server = eventlet.spawn(
            wsgi_server.serve,
            self._listener,
            self._application.api,
            socket_timeout=self._socket_timeout,
            most_per_address=self._most_per_address,
        )
        self._server.link(self._server_ended)
        self._on_serving()
        LOG.info('Serving as process %s', os.getpid(), extra={'action': 'serving'})

    def _server_ended(self, _server: typing.Any) -> None:
        """Stop the process if the server ended by itself: it would live on and serve nothing."""
        if not self._stopping:
            LOG.critical('The server ended by itself; so does this process')
            self.failed = True
            os.kill(os.getpid(), signal.SIGTERM)

    def stop(self, graceful: bool = False) -> None:
        """Stop serving and running tasks. Does nothing where nothing was started."""
        if self._application is None or self._stopping:  # as in the parent of workers
            return
        self._stopping = True
        LOG.info('Stopping: no new requests, no new tasks')
        grace = self._grace()
        tasks = eventlet.spawn(self._application.stop_tasks, grace)
        self._server.kill()  # it accepts nothing more, and waits for the requests under way
        patience = None if grace == math.inf else grace  # None: no timeout
        with (
            eventlet.Timeout(patience, False),
            contextlib.suppress(Exception, eventlet.greenlet.GreenletExit),
        ):
            self._server.wait()
        tasks.wait()
        self._application.close()
        LOG.info('Stopped')

    def wait(self) -> None:
        """Nothing is left to wait for: stop() returns when everything has ended."""

    def reset(self) -> None:
        """A reload changes nothing here: options are read where they are used."""
