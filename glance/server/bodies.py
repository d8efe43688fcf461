"""The body of a request: its chunks as RFC 9112 writes them, and who waits for it.

The bytes themselves pass unchanged from the connection's buffered file.
"""

import re
import typing

import eventlet
from eventlet import wsgi

from glance.server import heads
from glance.server.waiting import Waiting

LONGEST_LINE = 4096  # bytes of a line in a chunked body: a chunk size with extensions, a trailer
MOST_TRAILERS = 100
MOST_DISCARDED = 2**20  # bytes of a refused body that are read to keep its connection
DISCARD_TIME = 10  # seconds for reading them

_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
_CHUNK = re.compile(
    rb'([0-9A-Fa-f]{1,16})(?:[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?)*\r\n'
    % (heads.TOKEN, heads.TOKEN, _QUOTED)
)


class Chunks:
    """What is in the chunks of a file. Raises ValueError if they are malformed."""

    def __init__(self, file: typing.Any) -> None:
        self._file = file
        self._left: int | None = None  # bytes of this chunk; None before the first
        self._ended = False

    def read(self, count: int | None = None) -> bytes:
        """The next bytes: count of them, or fewer if the body ends."""
        pieces = []
        while (count is None or count > 0) and self._begin():
            pieces.append(piece := self._take(self._file.read, count))
            if count is not None:
                count -= len(piece)
        return b''.join(pieces)

    def readline(self, count: int | None = None) -> bytes:
        pieces = []
        while (count is None or count > 0) and self._begin():
            pieces.append(piece := self._take(self._file.readline, count))
            if piece.endswith(b'\n'):
                break
            if count is not None:
                count -= len(piece)
        return b''.join(pieces)

    def _take(self, reader: typing.Any, count: int | None) -> bytes:
        assert self._left is not None
        piece: bytes = reader(self._left if count is None else min(count, self._left))
        if not piece:
            raise OSError('the connection ends within a chunk')
        self._left -= len(piece)
        if not self._left and self._file.read(2) != b'\r\n':
            raise wsgi.ChunkReadError('a chunk does not end where it should')
        return piece

    def begin(self, _count: int | None = None) -> bytes:
        """Read the line before the next bytes, if they are not within a chunk."""
        self._begin()
        return b''

    def _begin(self) -> bool:
        """Read the line before the next bytes. False at the end of the body."""
        if self._left or self._ended:
            return not self._ended
        found = _CHUNK.fullmatch(self._readline())
        if found is None:
            raise wsgi.ChunkReadError('this is not the size of a chunk')
        self._left = int(found[1], 16)
        if not self._left:
            self._read_trailers()
            self._ended = True
        return not self._ended

    def _read_trailers(self) -> None:
        for _ in range(MOST_TRAILERS + 1):
            line = self._readline()
            if line == b'\r\n':
                return
            if not heads.FIELD.fullmatch(line):
                raise wsgi.ChunkReadError('a trailer is no header')
        raise wsgi.ChunkReadError('there are too many trailers')

    def _readline(self) -> bytes:
        eventlet.sleep(0)  # many small chunks may be in the buffer
        line: bytes = self._file.readline(LONGEST_LINE)
        if not line.endswith(b'\n') and len(line) < LONGEST_LINE:
            raise OSError('the connection ends within a chunked body')
        return line


class Input(wsgi.Input):  # type: ignore[misc]
    """wsgi.input of glance-api.

    protocol   eventlet's; its connection is closed if the body cannot be read to its end
    body_time  seconds of silence within the body; None is no limit
    """

    def __init__(
        self, given: wsgi.Input, protocol: typing.Any, waiting: Waiting, body_time: float | None
    ) -> None:
        super().__init__(
            given.rfile,
            given.content_length,
            protocol.connection,
            given.wfile,
            given.wfile_line,
            given.chunked_input,
        )
        self._protocol = protocol
        self._waiting = waiting
        self._body_time = body_time
        self._chunks = Chunks(given.rfile) if given.chunked_input else None

    def begin(self) -> None:
        """Read the size of the first chunk, so that a malformed one is refused by every call.

        Raises ValueError if it is malformed, OSError if it does not come.
        """
        if self._chunks is not None and not self.should_send_hundred_continue:
            self._read(self._chunks.begin, 0)

    def read(self, length: int | None = None) -> bytes:
        return self._read(super().read if self._chunks is None else self._chunks.read, length)

    def readline(self, size: int | None = None) -> bytes:
        return self._read(
            super().readline if self._chunks is None else self._chunks.readline, size
        )

    def _read(self, reader: typing.Any, count: int | None) -> bytes:
        if count is not None and count < 0:
            count = None  # all that is left
        if self._chunks is not None and self.should_send_hundred_continue:
            self.send_hundred_continue_response()
            self.is_hundred_continue_response_sent = True
        connection = self._protocol.connection
        timeout = connection.gettimeout()
        self._waiting.add(connection, self._protocol.client_address[0])
        connection.settimeout(self._body_time)
        try:
            piece: bytes = reader(count)
        except BaseException:
            self._protocol.give_up()
            raise
        finally:
            connection.settimeout(timeout)
            self._waiting.discard(connection)
        if not piece and count != 0 and self.position < (self.content_length or 0):
            self._protocol.give_up()  # the client has hung up
        return piece

    def discard(self, buffer_size: int = 65536) -> None:
        """Read the rest of a body, so that the connection can be used again; or give it up."""
        left = MOST_DISCARDED
        with eventlet.Timeout(DISCARD_TIME, False):
            while left > 0 and (piece := self.read(min(left, buffer_size))):
                left -= len(piece)
            if left > 0:
                return
        self._protocol.give_up()
