"""Opens the source of an import, and connects only to addresses that the import filter checked.

Each request uses one new connection: no pool, no proxy from the environment, no
cookies, no decoding. Redirects are followed here, each through the import filter
again. If the source proves that its file is still the same, bytes that are here
already are not sent again.
"""

import http
import urllib.parse
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Self

from glance import interrupts
from glance.domain import errors
from glance.domain.checkpoint import Rest
from glance.domain.fetch_limits import FetchLimits
from glance.domain.import_filter import ImportFilter, mask
from glance.image_data import response_headers, transfer_limits
from glance.image_data.http_response import Response
from glance.image_data.proxies import Proxy
from glance.image_data.source_request import UNCOUNTED, Fetch, SourceRequest, ascii_only
from glance.interfaces.resolver import Resolver

MAX_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
# How gzip, compress and zstd begin; no disk format begins like this.
COMPRESSED = (b'\x1f\x8b', b'\x1f\x9d', b'\x28\xb5\x2f\xfd')


def open(
    url: str,
    import_filter: ImportFilter,
    resolver: Resolver,
    limits: FetchLimits,
    *,
    on_wait: Callable[[], object] | None = None,
    rest: Rest | None = None,
    accept_encoded: bool = False,
    until: float | None = None,
    waiting: AbstractContextManager[None] = UNCOUNTED,
) -> 'Source':
    """Connect to a source, request the file, and read the response headers.

    on_wait         called every few seconds while the source is silent; an exception
                    from it ends the wait
    rest            which bytes are not here yet. The source is asked for these, and
                    Source.begins_at says whether it sends only them.
    accept_encoded  accept a response that says that its file is compressed. Some sources
                    say it of a plain file, so the caller must look at the content, and
                    raise Source.encoded_error() if the file is not plain.
    until           time.monotonic() at which the whole fetch must be over, if this is not its
                    first request
    waiting         the context of each wait for the source; it is entered again and again

    Returns a Source; use it in a with statement, or close it.

    Raises a SourceFailed. The message is one sentence with the masked URL.
    """
    fetch = Fetch(
        limits,
        transfer_limits.end(limits.total_timeout) if until is None else until,
        Proxy.from_url(limits.proxy, resolver) if limits.proxy else None,
        on_wait or (lambda: None),
        accept_encoded,
        waiting,
    )
    if rest is not None:
        part = _request(url, import_filter, resolver, fetch, rest)
        if part is not None:
            return part
    whole = _request(url, import_filter, resolver, fetch)
    assert whole is not None
    return whole


def _request(
    url: str,
    import_filter: ImportFilter,
    resolver: Resolver,
    fetch: Fetch,
    rest: Rest | None = None,
) -> 'Source | None':
    """Request a URL and follow redirects. None if the source does not send the rest alone."""
    login = None
    requested = set()
    asks_for_cookie = False
    fact = f'and redirected more than {MAX_REDIRECTS} times in a row'
    for number in range(MAX_REDIRECTS + 1):
        requested.add(url)
        with fetch.waiting:
            target = import_filter.verify(url, resolver)
        if number == 0:
            login = target.login  # only for the first URL; the targets of redirects do not get it
        request = SourceRequest(url, target, fetch)
        try:
            response = request.send(login, rest)
            next_url = _redirected(url, response)
            if next_url is None:
                if rest and not _is_usable(response, rest):
                    request.close()
                    return None
                return Source(request, response, fetch, rest)
            request.close()
        except errors.SourceBadResponse as error:
            request.close()
            error.redirect = hash(url) if number else None
            raise
        except BaseException:
            request.close()
            raise
        url, login = next_url, None
        asks_for_cookie = asks_for_cookie or bool(response.headers.all('set-cookie'))
        if asks_for_cookie and url in requested:
            fact = 'and redirected in a circle'
            break
    if asks_for_cookie:
        fact += '; it asks for a cookie, and cookies are not sent'
    raise errors.SourceBadResponse(mask(url), response.status, fact)


def _redirected(url: str, response: Response) -> str | None:
    """The URL that a response redirects to, or None."""
    location = response.headers.get('location') if response.status in REDIRECTS else ''
    if not location:
        return None
    # Headers are decoded as Latin-1.
    try:
        found = urllib.parse.urljoin(url, ascii_only(location.encode('latin-1', 'replace')))
        return urllib.parse.urldefrag(found).url
    except ValueError:
        raise errors.SourceBadResponse(
            mask(url), response.status, 'and a Location that is no URL'
        ) from None


def _is_usable(response: Response, rest: Rest) -> bool:
    """Whether a request for the rest was answered with the rest, the whole file, or an error."""
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        return response_headers.continues(response, rest)
    if response.status == http.HTTPStatus.OK and response_headers.is_partial(response):
        return False
    return response.status not in (
        http.HTTPStatus.NOT_MODIFIED,
        http.HTTPStatus.PRECONDITION_FAILED,
        http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    )


class Source:
    """A file that is being sent.

    name        the masked URL
    size        bytes of the whole file as announced, or None
    validator   identifies this state of the file later, or None
    begins_at   bytes at the begin of the file that are not sent, because they are here
    is_encoded  whether the response says that the file is compressed
    """

    def __init__(
        self, request: SourceRequest, response: Response, fetch: Fetch, rest: Rest | None = None
    ) -> None:
        self.name = request.name
        self.is_encoded = response_headers.is_encoded(response)
        self._status = response.status
        self.begins_at = 0
        if response.status == http.HTTPStatus.PARTIAL_CONTENT and rest is not None:
            self.begins_at = rest.offset
        elif response.status != http.HTTPStatus.OK:
            raise errors.SourceBadResponse(
                self.name,
                response.status,
                _phrase(response.status),
                response_headers.retry_after(response.headers),
            )
        elif response_headers.is_partial(response):
            raise errors.SourceBadResponse(
                self.name,
                response.status,
                'with a part of the file, though all of it was asked for',
            )
        self.size = length = response_headers.content_length(self.name, response)
        self.validator = response_headers.validator(response.headers)
        if self.begins_at and rest is not None:
            self.size = response_headers.total_size(response)
            self.validator = rest.validator or self.validator
        self._request = request
        self._body = request.body(response, length)
        self._is_chunked = response.is_chunked
        self._fetch = fetch
        self._size_cap = size_cap = fetch.limits.size_cap
        self._received = self.begins_at
        self._ended = False
        if self.is_encoded and not fetch.accept_encoded:
            raise self.encoded_error()
        if self.size == 0:
            raise errors.SourceEmpty(self.name)
        if self.size is not None and self.size > size_cap:
            raise errors.SourceTooLarge(size_cap)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._request.close()

    def encoded_error(self) -> errors.SourceBadResponse:
        """The error of a source that sent an encoded file."""
        return errors.SourceBadResponse(
            self.name, self._status, 'with an encoded file, though the plain one was asked for'
        )

    def pause(self, seconds: float) -> None:
        """Do not read for some seconds. They count as time in which the source was waited for."""
        if not self._ended:
            with self._fetch.waiting:
                interrupts.sleep(seconds)
            self._request.limits.received(0, seconds)

    def read(self, most: int) -> bytes:
        """The bytes that have arrived, at most `most` of them; b'' at the end.

        Waits for the first byte.

        Raises SourceUnreachable when the source is silent for too long or the
        connection breaks, SizeMismatch when the file ends too early, SourceEmpty,
        SourceTooLarge, SourceBadResponse when an encoded file is compressed indeed.
        """
        if self._ended:
            return b''
        with self._request.errors_translated(f'after {self._received} bytes'):
            piece = self._body.read1(most)
        if self.is_encoded and not self._received and piece.startswith(COMPRESSED):
            raise self.encoded_error()  # without waiting for the rest
        self._received += len(piece)
        self._request.limits.payload(len(piece))
        if self._received > self._size_cap:
            raise errors.SourceTooLarge(self._size_cap)
        # A body in chunks must also end well-formed where its size is known.
        if not piece or (self._received == self.size and not self._is_chunked):
            self._ended = True
            if self.size is not None and self._received != self.size:
                raise errors.SizeMismatch(self.size, self._received)
            if self._received == 0:
                raise errors.SourceEmpty(self.name)
        return piece


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ''
