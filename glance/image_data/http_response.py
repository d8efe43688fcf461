"""Reads the response of a source or a proxy as RFC 9112 has it, and refuses what is no HTTP.

A header line that cannot be parsed must not be skipped: it may be the one that
says where the file ends. Three spellings that RFC 9112 lets a client accept are
accepted: lines that end in LF alone, folded header lines, and bytes from 0x80 on
in values.
"""

import io
import re
from collections.abc import Iterable, Iterator

MAX_LINE = 65536  # bytes of a line
MAX_HEADER_LINES = 100  # header lines of a head, folded ones included

_SWITCHING_PROTOCOLS = 101
_STATUS_LINE = re.compile(rb'HTTP/1\.[0-9] ([1-9][0-9]{2})(?: .*)?')
_HEADER_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)")
_CHUNK_LINE = re.compile(rb'([0-9a-fA-F]{1,15})[ \t]*(?:;.*)?')
# No line may have these characters. Among them is a CR that does not belong to the line's end.
_CONTROL = re.compile(rb'[\x00-\x08\x0a-\x1f\x7f]')


class MalformedResponse(Exception):
    """Raised if a response breaks the rules of HTTP; str() says which of its parts does."""


class Headers:
    """Header lines. Their names are found in lower case, whatever their case in the response."""

    def __init__(self, lines: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in lines:
            self._values.setdefault(name.lower(), []).append(value)

    def get(self, name: str, default: str = '') -> str:
        """The value of the first line with this name."""
        return self.all(name)[0] if name in self._values else default

    def all(self, name: str) -> list[str]:
        """The values of all lines with this name, in their order."""
        return self._values.get(name, [])


class Response:
    """A response whose head was read; its body is not read yet.

    Creating it reads the head. Interim responses before it (1xx) are skipped: what
    a source may send of them is limited like all that is no part of a file.

    status   the status code; 101 counts as a final response, which nobody asked for
    headers  the Headers, decoded as Latin-1
    """

    def __init__(self, reader: io.BufferedIOBase | io.RawIOBase) -> None:
        while True:
            self.status = _read_status(reader)
            self.headers = Headers(_header_lines(reader))
            if self.status >= 200 or self.status == _SWITCHING_PROTOCOLS:
                return

    @property
    def is_chunked(self) -> bool:
        return [coding.lower() for coding in self.headers.all('transfer-encoding')] == ['chunked']


class Body:
    """The body of a response whose head was accepted.

    length  the announced bytes; None if the end of the connection is its end
    """

    def __init__(self, reader: io.BufferedReader, length: int | None) -> None:
        self._reader = reader
        self._length = length

    def read1(self, most: int) -> bytes:
        """The bytes that have arrived, at most `most`; b'' at the end, early or not."""
        if self._length is None:
            return self._reader.read1(most)
        piece = self._reader.read1(min(most, self._length))
        self._length -= len(piece)
        return piece


class ChunkedBody:
    """The same for a body in chunks. An end before the last chunk raises EOFError."""

    def __init__(self, reader: io.BufferedReader) -> None:
        self._reader = reader
        self._left: int | None = None  # bytes of the chunk that is being read
        self._ended = False

    def read1(self, most: int) -> bytes:
        """The bytes that have arrived, at most `most`; b'' at the end, trailers included."""
        if not self._left:
            self._begin_chunk()
        if not self._left:
            return b''
        piece = self._reader.read1(min(most, self._left))
        if not piece:
            raise EOFError
        self._left -= len(piece)
        return piece

    def _begin_chunk(self) -> None:
        """Read what is between two chunks, or behind the last one."""
        if self._ended:
            return
        if self._left is not None:
            self._end_chunk()
        size = _CHUNK_LINE.fullmatch(_read_line(self._reader))
        if size is None:
            raise MalformedResponse('the size of a chunk is malformed')
        self._left = int(size[1], 16)
        if not self._left:
            _skip_trailers(self._reader)
            self._ended = True

    def _end_chunk(self) -> None:
        end = self._reader.readline(2)
        if end in (b'', b'\r'):
            raise EOFError
        if end not in (b'\r\n', b'\n'):
            raise MalformedResponse('a chunk is longer than its size')


def _read_status(reader: io.BufferedIOBase | io.RawIOBase) -> int:
    found = _STATUS_LINE.fullmatch(_read_line(reader))
    if found is None:
        raise MalformedResponse('it does not begin with a status line')
    return int(found[1])


def _header_lines(reader: io.BufferedIOBase | io.RawIOBase) -> Iterator[tuple[str, str]]:
    """Names and values up to the empty line."""
    number = 0
    name, value = b'', b''
    while line := _read_line(reader):
        number += 1
        if number > MAX_HEADER_LINES:
            raise MalformedResponse(f'it has more than {MAX_HEADER_LINES} header lines')
        if name and _is_folded(line):
            value += b' ' + line.strip(b' \t')
            continue
        if name:
            yield _decoded(name, value)
        name, value = _parsed(line)
    if name:
        yield _decoded(name, value)


def _skip_trailers(reader: io.BufferedReader) -> None:
    """Read up to the empty line. Trailers say nothing about the file, but must be well-formed.

    They are limited by what a source may send besides the file, so none is kept.
    """
    is_first = True
    while line := _read_line(reader):
        if is_first or not _is_folded(line):
            _parsed(line)
        is_first = False


def _is_folded(line: bytes) -> bool:
    """Whether a line continues the header line before it."""
    return line.startswith((b' ', b'\t'))


def _parsed(line: bytes) -> tuple[bytes, bytes]:
    found = _HEADER_LINE.fullmatch(line)
    if found is None:
        raise MalformedResponse('a header line is malformed')
    return found[1], found[2]


def _decoded(name: bytes, value: bytes) -> tuple[str, str]:
    return name.decode('ascii'), value.strip(b' \t').decode('latin-1')


def _read_line(reader: io.BufferedIOBase | io.RawIOBase) -> bytes:
    """A line without its end. Raises EOFError if the connection ends before the line does."""
    line = reader.readline(MAX_LINE + 1)
    if len(line) > MAX_LINE:
        raise MalformedResponse('a line is too long')
    if not line.endswith(b'\n'):
        raise EOFError
    line = line[:-2] if line.endswith(b'\r\n') else line[:-1]
    if _CONTROL.search(line):
        raise MalformedResponse('a line has a control character')
    return line
