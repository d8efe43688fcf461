"""The body of a download: how the bytes of an image get to the WSGI server."""

import collections.abc
import contextlib
import logging
import time
import typing
from wsgiref.types import WSGIEnvironment

from glance.domain import errors

LOG = logging.getLogger(__name__)

# Bytes read at once where the server does not send files itself.
CHUNK = 1024 * 1024
FAILED = {'action': 'download_failed'}


def iterable(
    environ: WSGIEnvironment,
    file: typing.BinaryIO,
    first: int,
    count: int,
    size: int,
    stack: contextlib.ExitStack,
) -> collections.abc.Iterable[bytes]:
    """An iterable for the WSGI server: count bytes of a file, from byte first on.

    file   has read and seek; a plain file also has fileno
    size   bytes in the whole file
    stack  closed when the server closes the iterable

    The server's wsgi.file_wrapper is used if there is one. Only the wrapper of
    glance-api can send a part of a file; that of uWSGI always sends all of it.

    The first bytes are read at once: raises Unavailable if they cannot be, because
    a response can still say so.
    """
    with contextlib.ExitStack() as closed_on_error:
        closed_on_error.push(stack)
        wrapper: typing.Any = environ.get('wsgi.file_wrapper') if _is_plain(file) else None
        found: collections.abc.Iterable[bytes]
        try:
            file.seek(first)
            if hasattr(wrapper, 'part'):
                found = wrapper.part(_Stored(file, stack), first, count)
            elif wrapper is not None and count == size:
                found = wrapper(_Stored(file, stack), CHUNK)
            else:
                found = Pieces(file, count, stack)
        except OSError as error:
            LOG.error('A stored image cannot be read: %s', error, extra=FAILED)
            raise errors.Unavailable('The bytes of the image cannot be read.') from error
        closed_on_error.pop_all()
        return found


def _is_plain(file: typing.BinaryIO) -> bool:
    try:
        file.fileno()
    except (AttributeError, OSError):
        return False
    return True


class _Stored:
    """A file that the server sends by itself. close() closes the whole stack."""

    def __init__(self, file: typing.BinaryIO, stack: contextlib.ExitStack) -> None:
        self.fileno = file.fileno
        self.read = file.read
        self.close = stack.close


class Pieces:
    """The next count bytes of a file, in pieces. close() closes the whole stack."""

    def __init__(self, file: typing.BinaryIO, count: int, stack: contextlib.ExitStack) -> None:
        self._file = file
        self._left = count
        self._first = self._next()
        self.close = stack.close

    def __iter__(self) -> collections.abc.Iterator[bytes]:
        piece = self._first
        while piece:
            yield piece
            # Without this, a fast client would never let other green threads run.
            time.sleep(0)
            try:
                piece = self._next()
            except OSError as error:
                # The headers are sent. Only a broken connection can still tell the client.
                LOG.error(
                    'A download failed %s bytes before its end: %s',
                    self._left,
                    error,
                    extra=FAILED,
                )
                raise

    def _next(self) -> bytes:
        """The next piece; nothing at the end. Raises OSError if the file ends before."""
        piece = self._file.read(min(CHUNK, self._left))
        if self._left and not piece:
            raise OSError(f'A stored image ends {self._left} bytes before its size.')
        self._left -= len(piece)
        return piece
