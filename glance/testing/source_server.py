"""A real HTTP server on the loopback that answers as it is told, also badly.

    with SourceServer() as source:
        source.pages['/image'] = b'bits'
        source.pages['/gone'] = Answer(status=410)
        source.pages['/short'] = Answer(b'bits', announced=10)

It works in processes with green and with native threads: it uses the
threading and socket modules as they are when start() is called.
"""

import collections.abc
import contextlib
import dataclasses
import http
import pathlib
import re
import socket
import ssl
import struct
import threading
import time
import typing
import zlib

_PIECE = 262144
_LONGEST_HEAD = 65536
_KNOWN = frozenset(http.HTTPStatus)


@dataclasses.dataclass(frozen=True)
class Request:
    """What was asked for. Names of headers are in lower case."""

    method: str
    path: str  # with its query
    headers: dict[str, str]


@dataclasses.dataclass
class Answer:
    """What to send for a page.

    body       bytes, a file to be sent, or pieces; each piece is sent when
               the iterator gives it, so it may wait for an event of the test
    headers    more of them, in order; a name may come twice
    announced  Content-Length: None as it is, 0 and more a lie, text as it is
               written; False leaves it out
    chunked    send in chunks, without Content-Length
    reset      end with a reset of the connection instead of closing it
    ranges     send the rest only to who asks for it and names the right ETag;
               bytes and files have one
    cut        end before this byte of a body of bytes, as if the connection had broken
    stall      do not end, but send nothing more until the client hangs up
    """

    body: bytes | pathlib.Path | collections.abc.Iterable[bytes] = b''
    status: int = 200
    headers: collections.abc.Sequence[tuple[str, str]] = ()
    announced: int | str | bool | None = None
    chunked: bool = False
    reset: bool = False
    ranges: bool = True
    cut: int | None = None
    stall: bool = False


@dataclasses.dataclass
class Raw:
    """What to send as it is, head and all; of pieces each when the iterator gives it."""

    data: bytes | collections.abc.Iterable[bytes]


class Silence:
    """Accept the request and answer nothing until the client hangs up or the server stops."""


Page = bytes | pathlib.Path | Answer | Raw | Silence
Pages = dict[str, Page | collections.abc.Callable[[Request], Page]]


def redirect(to: str, status: int = 302) -> Answer:
    """A page that leads to another address."""
    return Answer(status=status, headers=[('Location', to)])


class SourceServer:
    """Serves what is in pages, by path without query; all else is a 404.

    pages     path to bytes, a file, an Answer, Raw, Silence, or a function of the Request
    requests  all that were made, in order
    accepted  connections so far, also those on which nothing was asked
    tls       an ssl.SSLContext to serve https with
    rate      bytes per second that each client gets of a body; None: as fast as may be
    """

    def __init__(
        self, host: str = '127.0.0.1', port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.pages: Pages = {}
        self.requests: list[Request] = []
        self.accepted = 0
        self.host = host
        self.port = port
        self.rate: int | None = None
        self._tls = tls
        self._stopping = False
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        host = f'[{self.host}]' if ':' in self.host else self.host
        return f'{"http" if self._tls is None else "https"}://{host}:{self.port}'

    def start(self) -> None:
        """Listen; returns when connections are accepted."""
        family = socket.AF_INET6 if ':' in self.host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((self.host, self.port))
        self._listener.listen(1024)
        self.port = self._listener.getsockname()[1]
        self._stopping = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and hang up on all clients."""
        if self._listener is None or self._thread is None:
            return
        self._stopping = True
        # accept() in another thread does not notice that its socket was closed.
        with contextlib.suppress(OSError):
            socket.create_connection((self.host, self.port), timeout=5).close()
        self._thread.join()
        self._listener.close()
        self._listener = None
        for client in list(self._open):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> typing.Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            client, _place = self._listener.accept()
            if self._stopping:
                client.close()
                return
            self.accepted += 1
            self._open.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            if self._tls is not None:
                client = self._wrapped(client)
                client.do_handshake()  # type: ignore[attr-defined]
            request = _read_request(client)
            if request is not None:
                self.requests.append(request)
                self._answer(client, request)
                if self._tls is not None:
                    client.unwrap()  # type: ignore[attr-defined]
        except OSError:  # the client went away, or is made to, or distrusts the certificate
            pass
        except (AttributeError, ValueError):  # how TLS sockets say that the client went away
            if self._tls is None:
                raise
        finally:
            self._open.discard(client)
            client.close()

    def _wrapped(self, plain: socket.socket) -> socket.socket:
        assert self._tls is not None
        client = self._tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self._open.discard(plain)
        self._open.add(client)
        return client

    def _answer(self, client: socket.socket, request: Request) -> None:
        page = self.pages.get(request.path.partition('?')[0], Answer(status=404))
        if callable(page):
            page = page(request)
        if isinstance(page, Silence):
            client.recv(1)  # until the client hangs up, or stop() does
            return
        if isinstance(page, Raw):
            for piece in _pieces(page.data):
                client.sendall(piece)
            return
        answer = page if isinstance(page, Answer) else Answer(page)
        begin = _begin(answer, request)
        client.sendall(_head(answer, begin))
        if request.method != 'HEAD':
            _send_body(client, answer, begin, self.rate)
        if answer.stall:
            client.recv(1)
        if answer.reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))


def _read_request(client: socket.socket) -> Request | None:
    """The request, or None if the client hung up before its end or speaks something else."""
    received = b''
    while b'\r\n\r\n' not in received:
        piece = client.recv(_LONGEST_HEAD)
        received += piece
        if not piece or len(received) > _LONGEST_HEAD or not received[:1].isalpha():
            return None
    first, *lines = received.partition(b'\r\n\r\n')[0].decode('latin-1').split('\r\n')
    method, path, _version = first.split(' ', 2)
    headers = (line.partition(':') for line in lines)
    return Request(
        method, path, {name.strip().lower(): value.strip() for name, _, value in headers}
    )


def _begin(answer: Answer, request: Request) -> int:
    """The byte from which on to send: behind the first one, where that was asked for rightly."""
    wanted = re.fullmatch(r'bytes=(\d+)-', request.headers.get('range', ''))
    size, tag = _length(answer), _tag(answer)
    plain = answer.status == 200 and answer.announced is None and not answer.chunked
    if not (wanted and answer.ranges and plain and size and tag):
        return 0
    begin = int(wanted[1])
    return begin if begin < size and request.headers.get('if-range', tag) == tag else 0


def _head(answer: Answer, begin: int) -> bytes:
    status, size = answer.status, _length(answer)
    if begin and size:
        status = 206
    phrase = http.HTTPStatus(status).phrase if status in _KNOWN else 'Odd'
    lines = [f'HTTP/1.1 {status} {phrase}']
    lines += [f'{name}: {value}' for name, value in answer.headers]
    if begin and size:
        lines.append(f'Content-Range: bytes {begin}-{size - 1}/{size}')
    if answer.chunked:
        lines.append('Transfer-Encoding: chunked')
    elif answer.announced is not False:
        announced = answer.announced
        if announced is None and size is not None:
            announced = size - begin
        if announced is not None:
            lines.append(f'Content-Length: {announced}')
    if (tag := _tag(answer)) and not _named(answer):
        lines.append(f'ETag: {tag}')
    lines.append('Connection: close')
    return '\r\n'.join([*lines, '', '']).encode('latin-1')


def _tag(answer: Answer) -> str | None:
    """The ETag in the headers, or a strong one of what bytes and files hold."""
    if named := _named(answer):
        return named
    if isinstance(answer.body, bytes) and answer.body:
        return f'"{zlib.crc32(answer.body):08x}"'
    if isinstance(answer.body, pathlib.Path):
        found = answer.body.stat()
        return f'"{found.st_size:x}-{found.st_mtime_ns:x}"'
    return None


def _named(answer: Answer) -> str | None:
    return next((value for name, value in answer.headers if name.lower() == 'etag'), None)


def _length(answer: Answer) -> int | None:
    if isinstance(answer.body, bytes):
        return len(answer.body)
    if isinstance(answer.body, pathlib.Path):
        return answer.body.stat().st_size
    return None


def _send_body(client: socket.socket, answer: Answer, begin: int, rate: int | None) -> None:
    body = answer.body
    if answer.cut is not None and isinstance(body, bytes):
        body = body[: answer.cut]
    for piece in _pieces(body, begin):
        if rate is not None:
            time.sleep(len(piece) / rate)
        if answer.chunked:
            client.sendall(b'%x\r\n%b\r\n' % (len(piece), piece))
        else:
            client.sendall(piece)
    if answer.chunked and not answer.reset and answer.cut is None:
        client.sendall(b'0\r\n\r\n')


def _pieces(
    body: bytes | pathlib.Path | collections.abc.Iterable[bytes], begin: int = 0
) -> collections.abc.Iterator[bytes]:
    if isinstance(body, bytes):
        if body[begin:]:
            yield body[begin:]
    elif isinstance(body, pathlib.Path):
        with body.open('rb') as file:
            file.seek(begin)
            while piece := file.read(_PIECE):
                yield piece
    else:
        yield from body
