"""Opening what an import names: to checked addresses only, whatever the source says.

One source is one connection of our own making: no pool, no proxy from the
environment, no cookies, no decoding, and redirects are followed by hand, each
through the import filter again. What is here already is not sent again if the
source proves that it still has the same file.
"""

import http.client
import time
import urllib.parse

from glance.domain import errors
from glance.domain.import_filter import mask
from glance.image_data import heads, patience
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
    checkpoint=None,
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
    checkpoint       the Checkpoint of what is here already: the source is asked
                     to go on behind it, and Source.begins_at says whether it does

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
    rest = checkpoint and _ask(address, allowed, resolver, means, size_cap, checkpoint)
    return rest or _ask(address, allowed, resolver, means, size_cap)


def _ask(address, allowed, resolver, means, size_cap, checkpoint=None):
    """The Source to which an address leads; None if it has to be asked without the checkpoint."""
    login = None
    for number in range(MOST_REDIRECTS + 1):
        target = allowed.check(address, resolver)
        if number == 0:
            login = target.login  # of the first address only; redirects are not handed it
        asking = Asking(address, target, means)
        try:
            answer = asking.answer(login, checkpoint)
            led_to = answer.headers.get('location') if answer.status in REDIRECTS else None
            if led_to is None:
                if checkpoint and not _is_of_use(answer, checkpoint):
                    asking.close()
                    return None
                return Source(asking, answer, size_cap, checkpoint)
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


def _is_of_use(answer, checkpoint):
    """Whether a request for the rest was answered with the rest, the whole, or an error."""
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
        return heads.continues(answer, checkpoint)
    return answer.status not in (
        http.HTTPStatus.NOT_MODIFIED,
        http.HTTPStatus.PRECONDITION_FAILED,
        http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    )


class Source:
    """A file that is being sent.

    name       the address it comes from, masked
    size       bytes of the whole file as announced, or None
    validator  what proves later that it is the same file, or None
    begins_at  bytes of the file that are not sent, because they are here already
    """

    def __init__(self, asking, answer, size_cap, checkpoint=None):
        self.name = asking.name
        self.begins_at = 0
        if answer.status == http.HTTPStatus.PARTIAL_CONTENT and checkpoint is not None:
            self.begins_at = checkpoint.offset
        elif answer.status != http.HTTPStatus.OK:
            raise errors.SourceAnswered(
                self.name, answer.status, http.client.responses.get(answer.status, '')
            )
        self.size = heads.length(self.name, answer)
        self.validator = heads.validator(answer.headers)
        if self.begins_at:
            self.size, self.validator = heads.whole(answer), checkpoint.validator
        self._asking = asking
        self._answer = answer
        self._cap = size_cap
        self._came = self.begins_at
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
