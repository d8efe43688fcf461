"""wsgi.file_wrapper of glance-api: native threads send files with sendfile.

A native thread sends for a slice of time, or until the client stops reading for
a moment. Then it serves the next download, while the hub waits for the client.
So reading from the disk does not block the hub, memory does not grow, and a slow
client holds no thread.
"""

import collections.abc
import contextlib
import errno
import logging
import time
import typing

from eventlet import hubs

from glance import native_threads, threads

LOG = logging.getLogger(__name__)

THREADS = 8  # native threads; they wait for the disk, never for clients
HEAD = 64 * 1024  # bytes of the file that the server sends together with the headers
AT_ONCE = 4 * 2**20  # bytes that one call of sendfile may send
SLICE = 0.1  # seconds after which a thread turns to another download
LINGER = 2  # milliseconds that a thread waits for the client to read

# The errors that say that the client has gone.

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


def pool() -> native_threads.NativePool:
    """The native threads of all downloads of a process."""
    return native_threads.NativePool(THREADS, 'send', niceness=10)  # the hub goes first


class Wrapper:
    """wsgi.file_wrapper of one request.

    protocol  eventlet's; its connection is closed if the body ends too early
    """

    def __init__(
        self, protocol: typing.Any, connection: typing.Any, pool: native_threads.NativePool
    ) -> None:
        self._protocol = protocol
        self._connection = connection
        self._pool = pool

    def __call__(self, file: typing.BinaryIO, block_size: int | None = None) -> '_Part':
        """Send a file from its current position to its end, as in PEP 3333."""
        os = threads.original('os')
        first = os.lseek(file.fileno(), 0, os.SEEK_CUR)
        return self.part(file, first, max(0, os.fstat(file.fileno()).st_size - first))

    def part(self, file: typing.BinaryIO, first: int, count: int) -> '_Part':
        """A body that sends count bytes of a file from first on, and closes the file."""
        return _Part(file, first, count, self._protocol, self._connection, self._pool)


class _Part:
    def __init__(
        self,
        file: typing.BinaryIO,
        first: int,
        count: int,
        protocol: typing.Any,
        connection: typing.Any,
        pool: native_threads.NativePool,
    ) -> None:
        self.close = file.close
        self._file = file.fileno()
        self._offset = first
        self._left = count
        self._protocol = protocol
        self._connection = connection
        self._pool = pool
        # Read before there is a response, which can still say that it cannot be read.
        self._head = self._read_head() if count else b''

    def _read_head(self) -> bytes:
        read = self._pool.submit(_read, self._file, min(HEAD, self._left), self._offset)
        head: bytes = _settled(read)
        self._advance(len(head))
        return head

    def __iter__(self) -> collections.abc.Iterator[bytes]:
        if not self._head:
            return
        yield self._head  # the server sends it after the headers
        try:
            while self._left:
                self._send()
        except (TimeoutError, OSError) as error:
            self._protocol.close_connection = 1
            if not isinstance(error, TimeoutError) and error.errno not in _GONE:
                LOG.error(
                    'A download failed %s bytes before its end: %s',
                    self._left,
                    error,
                    extra={'action': 'download_failed'},
                )
                raise
            LOG.info(
                'A download was broken off by the client, %s bytes before its end',
                self._left,
                extra={'action': 'download_broken_off'},
            )

    def _send(self) -> None:
        """Let a thread send one slice; wait in the hub if the client did not keep up."""
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

    def _advance(self, count: int) -> None:
        self._offset += count
        self._left -= count


def _settled(future: typing.Any) -> typing.Any:
    """Wait for the result of a native thread. On return, it uses the descriptors no more."""
    try:
        return future.result()
    except BaseException:
        while not future.done():  # the request is being stopped; this takes one slice at most
            with contextlib.suppress(BaseException):
                future.result()
        raise


def _read(file: int, count: int, offset: int) -> bytes:
    data: bytes = threads.original('os').pread(file, count, offset)
    if not data:
        raise _short(count)
    return data


def _slice(sock: int, file: int, offset: int, count: int) -> tuple[int, OSError | None, bool]:
    """Send for a slice of time; returns the bytes sent, the error if there was one, and
    whether the client kept up. Called in a native thread."""
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


def _short(left: int) -> OSError:
    # The headers are sent; only closing the connection can still tell the client of the error.
    return OSError(f'A stored image ends {left} bytes before its size.')
