"""eventlet's WSGI server for clients that are hostile, broken or too many.

What it leaves unbounded is bounded here: the time for the head of a request,
lines and trailers of a chunked body, what is left of a refused one, ends of
accept() that are none.
"""

import errno
import functools
import logging
import resource

import eventlet
from eventlet import wsgi

from glance.cmd import _start
from glance.wsgi import sendfile

LOG = logging.getLogger(__name__)

IDLE_TIME = 75  # seconds a connection may wait between two requests
HEAD_TIME = 20  # seconds for the head of a request, however it dribbles in
LONGEST_LINE = 4096  # bytes of a chunk's size with its extensions, or of a trailer
MOST_TRAILERS = 100
MOST_DISCARDED = 2**20  # bytes of a refused body that are read to keep its connection
MOST_CONNECTIONS = 4096
OTHER_FILES = 128  # descriptors that are not for clients
SENDERS = 'glance.senders'  # where the threads that send files stand in the server's environ
ACCEPT_PAUSE = 0.5  # seconds until accept() is tried again without descriptors

_BAD_REQUEST = (
    b'HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n'
    b'Content-Length: %d\r\n\r\n%s'
)


def serve(listener, application, *, socket_timeout):
    """Serve requests until the green thread is killed; then let those end that have begun.

    socket_timeout  seconds of silence amid a request or its answer; None: any
    """
    senders = sendfile.pool()
    wsgi.server(
        _Listener(listener),
        application,
        environ={SENDERS: senders},
        max_size=most_connections(),
        protocol=Protocol,
        keepalive=IDLE_TIME,
        socket_timeout=socket_timeout,
        log=logging.getLogger('eventlet.wsgi.server'),
        log_output=False,
        debug=False,
        capitalize_response_headers=False,
    )
    senders.stop()


def most_connections():
    """How many clients there may be at a time; the limit of open files is raised for them."""
    most = _start.allow_files()
    if most == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    # An import needs two descriptors beside those of its client.
    return max(16, min(MOST_CONNECTIONS, (most - OTHER_FILES) // 2))


class _Listener:
    """A listening socket on which one client's misfortune does not end the serving."""

    def __init__(self, listener):
        self._listener = listener

    def __getattr__(self, name):
        return getattr(self._listener, name)

    def accept(self):
        while True:
            try:
                return self._listener.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    LOG.warning('No connection can be accepted now: %s', error.strerror)
                    eventlet.sleep(ACCEPT_PAUSE)
                elif error.errno not in (errno.ECONNABORTED, errno.ECONNRESET, errno.EPROTO):
                    raise


class _Lines:
    """The input of a chunked body: no line and no number of trailers is without end."""

    def __init__(self, file):
        self._file = file
        self._trailers = 0

    def __getattr__(self, name):
        return getattr(self._file, name)

    def readline(self, *_most):
        line = self._file.readline(LONGEST_LINE)
        if len(line) >= LONGEST_LINE:
            raise wsgi.ChunkReadError('a line is too long')
        # Sizes are numbers, ends of chunks are empty; all else is a trailer.
        if b':' in line:
            self._trailers += 1
            if self._trailers > MOST_TRAILERS:
                raise wsgi.ChunkReadError('there are too many trailers')
        eventlet.sleep(0)
        return line


class Protocol(wsgi.HttpProtocol):
    """One connection."""

    def _read_request_line(self):
        with eventlet.Timeout(IDLE_TIME, False):
            return super()._read_request_line()
        return ''

    def parse_request(self):
        try:
            with eventlet.Timeout(HEAD_TIME):
                if not super().parse_request():
                    return False
        except eventlet.Timeout:
            self.close_connection = 1
            return False
        fault = _fault(self.headers)
        if fault:
            self.wfile.write(_BAD_REQUEST % (len(fault), fault))
            self.close_connection = 1
            return False
        return True

    def get_environ(self):
        environ = super().get_environ()
        given = environ['eventlet.input']
        if given.chunked_input:
            given.rfile = _Lines(given.rfile)
        given.discard = functools.partial(self._discard, given)
        environ['wsgi.file_wrapper'] = sendfile.Wrapper(
            self, self.connection, environ.pop(SENDERS)
        )
        return environ

    def _discard(self, given):
        """Read what is left, so that the connection can be used again; or close it."""
        left = MOST_DISCARDED
        while left > 0 and (piece := given.read(min(left, 65536))):
            left -= len(piece)
        if left <= 0:
            self.close_connection = 1


def _fault(headers):
    """What makes it unknown where the body ends, so that its end could be smuggled; or None."""
    codings = headers.get_all('transfer-encoding') or []
    if codings and [coding.strip(' \t').lower() for coding in codings] != ['chunked']:
        return b'Of transfer encodings only "chunked" is known.\n'
    if len(set(headers.get_all('content-length') or [])) > 1:
        return b'There is more than one Content-Length.\n'
    return None
