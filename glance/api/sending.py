"""How the bytes of an image get to the server: what a download returns as its body."""

import time

CHUNK = 1024 * 1024  # bytes read at once where the server does not send files itself


def iterable(environ, file, first, count, size, stack):
    """What a WSGI server is to send: count bytes of a file from first on.

    file   has read and seek; and a fileno, where it is a plain file
    size   bytes in the whole file
    stack  closed when the server closes what it got

    By the server's wsgi.file_wrapper, where there is one. Only glance-api's
    own knows of parts of a file: that of uWSGI begins at the first byte always.
    """
    file.seek(first)
    wrapper = environ.get('wsgi.file_wrapper')
    if wrapper is not None and _is_plain(file):
        if hasattr(wrapper, 'part'):
            return wrapper.part(_Stored(file, stack), first, count)
        if count == size:
            return wrapper(_Stored(file, stack), CHUNK)
    return Pieces(file, count, stack)


def _is_plain(file):
    try:
        file.fileno()
    except (AttributeError, OSError):
        return False
    return True


class _Stored:
    """The file a server sends by itself; closing it closes all that belongs to it."""

    def __init__(self, file, stack):
        self.fileno = file.fileno
        self.read = file.read
        self.close = stack.close


class Pieces:
    """So many bytes of a file, in pieces, for a WSGI server, which closes what it got."""

    def __init__(self, file, count, stack):
        self._file = file
        self._count = count
        self.close = stack.close

    def __iter__(self):
        left = self._count
        while left:
            piece = self._file.read(min(CHUNK, left))
            if not piece:
                # The head is out; only a broken connection can still say that it is wrong.
                raise OSError(f'A stored image ends {left} bytes before its size.')
            left -= len(piece)
            yield piece
            # A client that reads as fast as we do would never let other green threads run.
            time.sleep(0)
