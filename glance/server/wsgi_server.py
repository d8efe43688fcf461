"""eventlet's WSGI server, made safe against hostile, broken and too many clients.

The heads and bodies of requests are read here, strictly (heads.py, bodies.py) and
within limits of time, before eventlet sees them. If all connections are taken, the
one whose client has been awaited longest makes room (waiting.py). Errors of accept()
that concern one client do not end the server.
"""

import contextlib
import errno
import functools
import logging
import resource
import socket
import typing

import eventlet
from eventlet import wsgi

from glance.server import bodies, file_limit, hanging_up, heads, sendfile
from glance.server.waiting import Waiting

LOG = logging.getLogger(__name__)

IDLE_TIME = 75  # seconds a connection may wait between two requests
HEAD_TIME = 20  # seconds for the head of a request, however it dribbles in
BODY_TIME = 60  # seconds of silence within the body of a request
LINGER_TIME = 1  # seconds in which a client may take in why its connection is closed
MOST_LINGERED = 2**20  # bytes that it may send meanwhile
MOST_CONNECTIONS = 4096  # clients at a time, where open files are not limited
OTHER_FILES = 128  # descriptors that are kept back for everything but clients
SENDERS = 'glance.senders'  # key in the server's environ of the threads that send files
ACCEPT_PAUSE = 0.5  # seconds until the next accept() when no descriptor is free
PLACE_PAUSE = 0.01  # seconds until the next look for a free place
ROUNDS = 5  # of the hub, in which the thread of a closed connection usually ends

_REFUSAL = (
    'HTTP/1.1 {}\r\nConnection: close\r\nContent-Type: text/plain\r\n'
    'Content-Length: {}\r\n\r\n{}\n'
)


def serve(
    listener: socket.socket,
    application: typing.Any,
    *,
    socket_timeout: float | None,
    most_per_address: int = 0,
    idle_time: float = IDLE_TIME,
    head_time: float = HEAD_TIME,
    body_time: float = BODY_TIME,
    connections: int | None = None,
) -> None:
    """Serve requests until the green thread is killed; then finish those under way.

    socket_timeout    seconds of silence within a request or its answer; None is no limit
    most_per_address  connections of one address whose head or body is awaited; 0 is no limit
    idle_time         seconds that a connection may wait for its next request
    head_time         seconds in which the head of a request must arrive
    body_time         seconds of silence within the body of a request
    connections       clients at a time; None asks the system
    """
    senders = sendfile.pool()
    waiting = Waiting(most_per_address)
    places = eventlet.GreenPool(connections or most_connections())
    wsgi.server(
        _Listener(listener, places, waiting),
        application,
        environ={SENDERS: senders},
        custom_pool=places,
        protocol=functools.partial(
            Protocol,
            waiting=waiting,
            idle_time=idle_time,
            head_time=head_time,
            body_time=min(body_time, socket_timeout or body_time),
        ),
        keepalive=idle_time,
        socket_timeout=socket_timeout,
        log=logging.getLogger('eventlet.wsgi.server'),
        log_output=False,
        debug=False,
        capitalize_response_headers=False,
    )
    senders.stop()


def most_connections() -> int:
    """How many clients can be served at a time. Raises the limit of open files for them."""
    most = file_limit.raise_soft_limit()
    if most == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    # An import needs two descriptors beside those of its client.
    return max(16, min(MOST_CONNECTIONS, (most - OTHER_FILES) // 2))


class _Listener:
    """A listening socket. A connection that fails while it is accepted does not end the server.

    When there is no place for a new connection, one that only waits is closed.
    """

    def __init__(
        self, listener: socket.socket, places: eventlet.GreenPool, waiting: Waiting
    ) -> None:
        self._listener = listener
        self._places = places
        self._waiting = waiting

    def __getattr__(self, name: str) -> typing.Any:
        return getattr(self._listener, name)

    def accept(self) -> typing.Any:
        while True:
            try:
                accepted = self._listener.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    LOG.warning('No connection can be accepted now: %s', error.strerror)
                    self._waiting.close_longest()
                    eventlet.sleep(ACCEPT_PAUSE)
                elif error.errno not in (errno.ECONNABORTED, errno.ECONNRESET, errno.EPROTO):
                    raise
            else:
                self._make_room()
                return accepted

    def _make_room(self) -> None:
        """Wait until there is a place for the connection that was accepted."""
        while self._places.free() < 1:
            closed = self._waiting.close_longest()
            for _ in range(ROUNDS if closed else 0):
                eventlet.sleep(0)
                if self._places.free():
                    return
            eventlet.sleep(PLACE_PAUSE)


class Protocol(wsgi.HttpProtocol):  # type: ignore[misc]
    """One connection."""

    def __init__(
        self,
        *args: typing.Any,
        waiting: Waiting,
        idle_time: float,
        head_time: float,
        body_time: float,
    ) -> None:
        self._waiting = waiting
        self._idle_time = idle_time
        self._head_time = min(head_time, idle_time)
        self._body_time = body_time
        self._used = False  # there was a request on this connection
        self._lingers = False  # the client may be sending when the connection is closed
        super().__init__(*args)  # serves the whole connection

    def handle_one_request(self) -> None:
        try:
            head = self._await_head()
        except heads.Refused as error:
            self._refuse(error)
            return
        self.close_connection = head is None or head.closes
        if head is None:
            return
        self._used = True
        self.requestline = head.line
        self.command = head.method
        self.path = head.target
        self.request_version = head.version
        self.headers = head.headers
        self.environ = self.get_environ()
        try:
            self.environ['wsgi.input'].begin()
        except (OSError, ValueError):
            self._refuse(heads.Refused('The body is malformed, or does not come.'))
            return
        self.application = self.server.app
        self.server.outstanding_requests += 1
        try:
            self.handle_one_response()
        except OSError as error:
            if error.errno not in wsgi.BROKEN_SOCK:
                raise
        finally:
            self.server.outstanding_requests -= 1

    def _await_head(self) -> heads.Head | None:
        """The head of the next request; None if the client hangs up or is too slow."""
        address = self.client_address[0]
        try:
            if self._used and not self._begins():
                return None
            self._waiting.add(self.connection, address)
            with eventlet.Timeout(self._head_time, False):
                self.rfile.peek(1)
                self.conn_state[2] = wsgi.STATE_REQUEST
                return heads.read(self.rfile.readline)
        except OSError:  # the client is gone
            pass
        finally:
            self._waiting.discard(self.connection)
        return None

    def _begins(self) -> bool:
        """Wait for the first byte of another request."""
        self._waiting.add(self.connection, None)
        with eventlet.Timeout(self._idle_time, False):
            return bool(self.rfile.peek(1))
        return False

    def _refuse(self, error: heads.Refused) -> None:
        sentence = str(error)
        self.wfile.write(_REFUSAL.format(error.status, len(sentence) + 1, sentence).encode())
        self.give_up()

    def give_up(self) -> None:
        """Close the connection after the answer: its next bytes may be no request."""
        self.close_connection = True
        self._lingers = True

    def finish(self) -> None:
        if self._lingers:
            self._linger()
        super().finish()

    def _linger(self) -> None:
        """Let the client read the answer. A close with unread bytes could take it away."""
        left = MOST_LINGERED
        self._waiting.add(self.connection, self.client_address[0])
        with contextlib.suppress(OSError), eventlet.Timeout(LINGER_TIME, False):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            while left > 0 and (piece := self.connection.recv(65536)):
                left -= len(piece)
        self._waiting.discard(self.connection)

    def get_environ(self) -> dict[str, typing.Any]:
        environ: dict[str, typing.Any] = super().get_environ()
        environ['wsgi.input'] = environ['eventlet.input'] = bodies.Input(
            environ['eventlet.input'], self, self._waiting, self._body_time
        )
        environ['wsgi.file_wrapper'] = sendfile.Wrapper(
            self, self.connection, environ.pop(SENDERS)
        )
        hanging_up.watch(environ, self.connection)
        return environ
