"""wsgi.file_wrapper of glance-api: files leave by sendfile, outside the hub.

A native thread sends for a slice of time, or until the client has not made
room for a moment; then it serves the next download, and the hub waits for the
client. So a download costs the hub nothing, reads wait for the disk where
nobody else waits, memory does not grow, and slow clients hold no thread.
"""

import contextlib
import errno
import logging
import time

from eventlet import hubs

from glance import threads

LOG = logging.getLogger(__name__)

THREADS = 8  # they wait for the disk, never for clients
HEAD = 64 * 1024  # bytes with which the server sends the head of the answer
AT_ONCE = 4 * 2**20  # bytes that one sendfile may send
SLICE = 0.1  # seconds after which another download has its turn
LINGER = 2  # milliseconds that a thread waits for room at the client

_GONE = (
    errno.EPIPE,
    errno.ECONNRESET,
    errno.ECONNABORTED,
    errno.ENOTCONN,
    errno.ESHUTDOWN,
    errno.ETIMEDOUT,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
)


def pool():
    """The native threads of all downloads of a process."""
    return threads.NativePool(THREADS, 'send', niceness=10)  # the hub goes first


class Wrapper:
    """wsgi.file_wrapper of one request.

    protocol  eventlet's, whose connection is closed when the body stays short
    """

    def __init__(self, protocol, connection, pool):
        self._protocol = protocol
        self._connection = connection
        self._pool = pool

    def __call__(self, file, block_size=None):
        """As PEP 3333 has it: from where the file stands to its end."""
        os = threads.original('os')
        first = os.lseek(file.fileno(), 0, os.SEEK_CUR)
        return self.part(file, first, max(0, os.fstat(file.fileno()).st_size - first))

    def part(self, file, first, count):
        """What sends count bytes of a file from first on, and closes it."""
        return _Part(file, first, count, self._protocol, self._connection, self._pool)


class _Part:
    def __init__(self, file, first, count, protocol, connection, pool):
        self.close = file.close
        self._file = file.fileno()
        self._offset = first
        self._left = count
        self._protocol = protocol
        self._connection = connection
        self._pool = pool

    def __iter__(self):
        if not self._left:
            return
        head = _settled(self._pool.submit(_read, self._file, min(HEAD, self._left), self._offset))
        self._advance(len(head))
        yield head  # by the server, after the head of the answer
        try:
            while self._left:
                self._send()
        except (TimeoutError, OSError) as error:
            self._protocol.close_connection = 1
            if not isinstance(error, TimeoutError) and error.errno not in _GONE:
                raise
            LOG.info(
                'A download was broken off by the client, %s bytes before its end',
                self._left,
                extra={'action': 'download_broken_off'},
            )

    def _send(self):
        """Have one slice sent; wait in the hub if the client did not keep up."""
        sock = self._connection.fileno()
        sent, error, kept_up = _settled(
            self._pool.submit(_slice, sock, self._file, self._offset, self._left)
        )
        self._advance(sent)
        if error is not None:
            raise error
        if self._left and not kept_up:
            hubs.trampoline(
                sock, write=True, timeout=self._connection.gettimeout(), timeout_exc=TimeoutError
            )

    def _advance(self, count):
        self._offset += count
        self._left -= count


def _settled(reply):
    """The answer of a native thread, which must be done with the descriptors in any case."""
    try:
        return reply.wait()
    except BaseException:
        while not reply.given:  # we are told to stop: it is at most a slice
            with contextlib.suppress(BaseException):
                reply.wait()
        raise


def _read(file, count, offset):
    data = threads.original('os').pread(file, count, offset)
    if not data:
        raise _short(count)
    return data


def _slice(sock, file, offset, count):
    """Send for a slice of time; returns the bytes sent, what went wrong, and whether
    the client kept up. Called in a native thread."""
    sendfile = threads.original('os').sendfile
    select = threads.original('select')
    room = select.poll()
    room.register(sock, select.POLLOUT)
    until = time.monotonic() + SLICE
    sent = 0
    try:
        while sent < count and time.monotonic() < until:
            try:
                done = sendfile(sock, file, offset + sent, min(AT_ONCE, count - sent))
            except BlockingIOError:
                if not room.poll(LINGER):
                    return sent, None, False
                continue
            if not done:
                return sent, _short(count - sent), True
            sent += done
    except OSError as error:
        return sent, error, True
    return sent, None, True


def _short(left):
    # The head is out; only a broken connection can still say that it is wrong.
    return OSError(f'A stored image ends {left} bytes before its size.')
