"""What other servers leave of a request to the application.

PEP 3333 knows neither targets in absolute form nor bodies in chunks. With this,
the application sees them as under glance-api.
"""

import collections.abc
import io
import time
import typing
import urllib.parse

from glance.server import hanging_up, heads

try:
    import uwsgi
except ImportError:  # another server
    uwsgi = None

# Seconds that a request may wait for the end of a task under uWSGI. It tells nobody that it
# stops until all requests have ended, and kills a worker after worker-reload-mercy (60).
LONGEST_WAIT_UWSGI = 30


def complete(environ: dict[str, typing.Any]) -> None:
    """Complete a WSGI environment. Raises heads.Refused if the request must be refused."""
    target = environ.get('RAW_URI') or environ.get('REQUEST_URI') or '/'
    if not target.startswith(('/', '*')) and environ['REQUEST_METHOD'] != 'CONNECT':
        authority, rest = heads.split_absolute(target)
        environ['HTTP_HOST'] = authority
        path = urllib.parse.unquote(rest.partition('?')[0], encoding='latin-1')
        environ['PATH_INFO'] = path or '/'
    if uwsgi is not None:
        until = time.monotonic() + LONGEST_WAIT_UWSGI
        hanging_up.watch(environ, uwsgi.connection_fd(), lambda: time.monotonic() > until)
    elif 'gunicorn.socket' in environ:
        hanging_up.watch(environ, environ['gunicorn.socket'])
    coding = environ.get('HTTP_TRANSFER_ENCODING')
    if coding is None:
        return
    length = environ.get('CONTENT_LENGTH')
    heads.check_coding([coding], [length] if length else [])
    if uwsgi is not None:
        environ['wsgi.input'] = io.BufferedReader(_Chunks(uwsgi.chunked_read))


class _Chunks(io.RawIOBase):
    """A body in chunks, which uWSGI hands out by a function of its own."""

    def __init__(self, read_chunk: collections.abc.Callable[[], bytes]) -> None:
        self._read_chunk = read_chunk
        self._left = b''
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: typing.Any) -> int:
        if not self._left and not self._ended:
            self._left = self._read_chunk()
            self._ended = not self._left
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
