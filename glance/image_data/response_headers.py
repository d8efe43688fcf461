"""Reads the response headers of a source: size and state of the file, and which part is sent."""

import datetime
import email.utils
import re
from typing import NoReturn, Protocol

from glance.domain import errors
from glance.domain.checkpoint import VALIDATOR, Rest
from glance.image_data.http_response import Response

# The content codings that change the bytes of a file. Other values are wrong, but harmless:
# uploads leave "aws-chunked" at an object, and "none" says what "identity" says.
_CODINGS = ('gzip', 'x-gzip', 'deflate', 'compress', 'x-compress', 'br', 'zstd')
_CONTENT_RANGE = re.compile(r'bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})')


class _Named(Protocol):
    """Values of headers by name in lower case."""

    def get(self, name: str, default: str, /) -> str: ...


def content_length(source: str, response: Response) -> int | None:
    """The announced size of the body in bytes, or None. Raises SourceBadResponse.

    source  how messages call the source
    """

    def refuse(fact: str) -> NoReturn:
        raise errors.SourceBadResponse(source, response.status, fact)

    lengths = response.headers.all('content-length')
    codings = response.headers.all('transfer-encoding')
    if codings and not response.is_chunked:
        refuse('in a transfer encoding that was not asked for')
    if codings and lengths:
        refuse('with a Content-Length and in chunks, which contradict each other')
    if not lengths:
        return None
    if len(lengths) > 1 or ',' in lengths[0]:
        refuse('with more than one Content-Length')
    if not re.fullmatch('[0-9]{1,18}', lengths[0]):
        refuse('with a Content-Length that is not a number of bytes')
    return int(lengths[0])


def is_encoded(response: Response) -> bool:
    """Whether a response says that its body is compressed, although that was not asked for."""
    named = ','.join(response.headers.all('content-encoding')).lower().split(',')
    return any(coding.strip() in _CODINGS for coding in named)


def is_partial(response: Response) -> bool:
    """Whether a response says that its body is a part of a file, or several in one body."""
    kinds = ','.join(response.headers.all('content-type')).lower()
    return bool(response.headers.all('content-range')) or 'multipart/byteranges' in kinds


def validator(headers: _Named) -> str | None:
    """The header value that identifies this state of the file, or None (RFC 9110, 8.8).

    A weak ETag does not identify it, nor does a Last-Modified from the second in
    which the source answered.
    """
    tag = headers.get('etag', '')
    if tag.startswith('"') and VALIDATOR.fullmatch(tag):
        return tag
    modified = headers.get('last-modified', '')
    try:
        age = email.utils.parsedate_to_datetime(headers.get('date', '')) - (
            email.utils.parsedate_to_datetime(modified)
        )
    except (ValueError, TypeError):
        return None
    return modified if age.total_seconds() >= 1 and VALIDATOR.fullmatch(modified) else None


def continues(response: Response, rest: Rest) -> bool:
    """Whether a response with status 206 has all bytes that were asked for, of the same file.

    If not, the whole file must be requested.
    """
    first, last, size = _content_range(response) or (None, None, 0)
    announced = response.headers.get('content-length')
    return (
        (first, last) == (rest.offset, size - 1)
        and rest.size in (None, size)
        and announced in ('', str(size - rest.offset))
        and not is_encoded(response)
        and not response.headers.get('content-type').lower().startswith('multipart/')
        and _is_same_state(response, rest)
    )


def _is_same_state(response: Response, rest: Rest) -> bool:
    """Whether the validator of a response, if it has one, is the one that was asked for."""
    if rest.validator is None:
        return True
    name = 'etag' if rest.validator.startswith('"') else 'last-modified'
    return response.headers.get(name, '' if rest.is_shown else rest.validator) == rest.validator


def retry_after(headers: _Named) -> float | None:
    """Seconds after which the source wants to be asked again; None if it does not say."""
    value = headers.get('retry-after', '').strip()
    if re.fullmatch('[0-9]{1,18}', value):
        return float(value)
    try:
        until = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    try:
        now = email.utils.parsedate_to_datetime(headers.get('date', ''))
    except (ValueError, TypeError):
        now = datetime.datetime.now(datetime.UTC)
    if until.tzinfo is None or now.tzinfo is None:  # "-0000": RFC 9110 has GMT only
        return None
    return max(0.0, (until - now).total_seconds())


def total_size(response: Response) -> int:
    """The size in bytes of the whole file, from a response for which continues() is true."""
    content_range = _content_range(response)
    assert content_range is not None
    return content_range[2]


def _content_range(response: Response) -> tuple[int, int, int] | None:
    """First byte, last byte and size of the whole file, or None if they are not given."""
    found = _CONTENT_RANGE.fullmatch(','.join(response.headers.all('content-range')))
    if found is None:
        return None
    first, last, size = map(int, found.groups())
    return first, last, size
