"""Opening what an import names: to checked addresses only, whatever the source says.

One source is one connection of our own making: no pool, no proxy from the
environment, no cookies, no decoding, and redirects are followed by hand, each
through the import filter again.
"""

import http.client
import re
import time
import urllib.parse

from glance.domain import errors
from glance.domain.import_filter import mask
from glance.image_data import patience
from glance.image_data.connections import Asking, Means, ascii_only
from glance.image_data.proxies import Proxy

MOST_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)


def open(
    address,
    allowed,
    resolver,
    *,
    connect_timeout,
    read_timeout,
    size_cap,
    total_timeout=0,
    minimum_rate=0,
    proxy=None,
    ca_file=None,
    on_wait=None,
):
    """Connect to a source, ask for the file, and read the head of the answer.

    allowed          the ImportFilter
    connect_timeout  seconds in which one of the addresses of the host must
                     accept a connection, TLS included
    read_timeout     seconds of silence after which the source is given up
    size_cap         bytes above which it is refused
    total_timeout    seconds from now until the last byte, redirects included;
                     0 is no limit
    minimum_rate     bytes per second to be sent while they are waited for
    proxy            http://[user:password@]host:port, or None; that of the
                     environment is never asked
    ca_file          certificates to trust besides the system's
    on_wait          called every few seconds while nothing comes; what it
                     raises ends the wait

    Returns a Source, to be used in a with statement or to be closed.

    Raises SourceRefused, SourceUnreachable, SourceAnswered, SourceEmpty or
    SourceTooLarge, each in one sentence with the address masked.
    """
    means = Means(
        connect_timeout,
        read_timeout,
        total_timeout,
        patience.end(total_timeout),
        minimum_rate,
        Proxy.of(proxy, resolver) if proxy else None,
        ca_file,
        on_wait or (lambda: None),
    )
    login = None
    for number in range(MOST_REDIRECTS + 1):
        target = allowed.check(address, resolver)
        if number == 0:
            login = target.login  # of the first address only; redirects are not handed it
        asking = Asking(address, target, means)
        try:
            answer = asking.answer(login)
            led_to = answer.headers.get('location') if answer.status in REDIRECTS else None
            if led_to is None:
                return Source(asking, answer, size_cap)
            # http.client reads headers as Latin-1.
            address = urllib.parse.urljoin(
                address, ascii_only(led_to.encode('latin-1', 'replace'))
            )
            login = None
            asking.close()
        except BaseException:
            asking.close()
            raise
    raise errors.SourceAnswered(
        mask(address), answer.status, f'and led on more than {MOST_REDIRECTS} times in a row'
    )


class Source:
    """A file that is being sent.

    name       the address it comes from, masked
    size       bytes as announced, or None
    validator  ETag or Last-Modified, or None: the same as long as the file is
    """

    def __init__(self, asking, answer, size_cap):
        self.name = asking.name
        if answer.status != http.HTTPStatus.OK:
            raise errors.SourceAnswered(
                self.name, answer.status, http.client.responses.get(answer.status, '')
            )
        self.size = _size(self.name, answer)
        self.validator = answer.headers.get('etag') or answer.headers.get('last-modified')
        self._asking = asking
        self._answer = answer
        self._cap = size_cap
        self._came = 0
        self._ended = False
        if self.size == 0:
            raise errors.SourceEmpty(self.name)
        if self.size is not None and self.size > size_cap:
            raise errors.SourceTooLarge(size_cap)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Hang up. Idempotent."""
        self._asking.close()

    def rest(self, seconds):
        """Do not listen for a while. It counts as waiting for the source."""
        if not self._ended:
            time.sleep(seconds)
            self._asking.patience.heard(0, seconds)

    def read(self, most):
        """What has come, so many bytes at most; waits for the first. b'' at the end.

        Raises SourceUnreachable when the source falls silent or the connection
        breaks, SizeMismatch when it ends too early, SourceEmpty, SourceTooLarge.
        """
        if self._ended:
            return b''
        with self._asking.translated(f'after {self._came} bytes'):
            try:
                piece = self._answer.read1(most)
            except http.client.IncompleteRead:
                if self.size is None:
                    raise ConnectionResetError from None  # amid a chunk
                piece = b''
        self._came += len(piece)
        self._asking.patience.useful(len(piece))
        if self._came > self._cap:
            raise errors.SourceTooLarge(self._cap)
        if not piece or self._came == self.size:
            self._ended = True
            if self.size is not None and self._came != self.size:
                raise errors.SizeMismatch(self.size, self._came)
            if self._came == 0:
                raise errors.SourceEmpty(self.name)
        return piece


def _size(name, answer):
    """The bytes a plain body was announced to have, or None. Raises SourceAnswered."""

    def refuse(fact):
        raise errors.SourceAnswered(name, answer.status, fact)

    def of(name):
        return ','.join(answer.headers.get_all(name, [])).strip().lower()

    encoding = of('content-encoding')
    if encoding not in ('', 'identity'):
        refuse('with an encoded file, though the plain one was asked for')
    lengths = answer.headers.get_all('content-length', [])
    transfer = of('transfer-encoding')
    if transfer not in ('', 'chunked'):
        refuse('in a transfer encoding that was not asked for')
    if transfer and lengths:
        refuse('with a Content-Length and in chunks, which contradict each other')
    if not lengths:
        return None
    if len(lengths) > 1 or ',' in lengths[0]:
        refuse('with more than one Content-Length')
    if not re.fullmatch('[0-9]{1,18}', lengths[0].strip()):
        refuse('with a Content-Length that is no number of bytes')
    return int(lengths[0])
