"""The conditions of a download (RFC 9110, 13.2.2), and the range of bytes that it asks for."""

import datetime
import email.utils
import re

import webob

from glance.api.errors import HTTPError
from glance.api.request import Request

_RANGE = re.compile('([0-9]{0,100})-([0-9]{0,100})')
# Old clients send a Range as Content-Range.
# Where a second Range line follows, as servers join the lines.
_NEXT_LINE = re.compile(r',[ \t]*[A-Za-z]+[ \t]*=')
_ENTITY_TAG = re.compile(r'(W/)?"([^"]*)"')
_CONTENT_RANGE = re.compile(r'bytes ([0-9]{1,100}-[0-9]{1,100})/(?:[0-9]{1,100}|\*)')


def requested_range(req: Request, response: webob.Response, size: int) -> tuple[int, int] | None:
    """The (first, last) byte to send, both included; None: all bytes.

    response  has the ETag and Last-Modified of the bytes, for If-Range

    Only a GET can have a Range. Old clients send Content-Range instead. Raises
    what read() raises.
    """
    header, old = req.environ.get('HTTP_RANGE'), req.environ.get('HTTP_CONTENT_RANGE')
    if req.method != 'GET' or not (header or old):
        return None
    if_range = req.environ.get('HTTP_IF_RANGE')
    if if_range is not None and not _is_current(if_range, response):
        return None
    if header:
        return read(header, size)
    found = _CONTENT_RANGE.fullmatch(old.strip())
    if found is None:
        raise _impossible(f'The Content-Range "{old[:80]}" is malformed.', size)
    return read(f'bytes={found[1]}', size)


def verify_wanted(req: Request, response: webob.Response) -> None:
    """Raises HTTPError 412 for other bytes than If-Match or else If-Unmodified-Since asks for.

    response  has the ETag and Last-Modified of the bytes; it has neither if there are none
    """
    tags = req.environ.get('HTTP_IF_MATCH')
    if tags is not None:
        # A weak tag does not say that all bytes are the same.
        if not _names(tags, response, weak=False):
            raise HTTPError(412, 'The image does not have an ETag that If-Match names.')
        return
    since = _date(req.environ.get('HTTP_IF_UNMODIFIED_SINCE', ''))
    if since is not None and response.last_modified and response.last_modified > since:
        raise HTTPError(412, 'The image was changed after the date of If-Unmodified-Since.')


def not_modified(req: Request, response: webob.Response) -> bool:
    """Whether the caller has these bytes, by If-None-Match, or else by If-Modified-Since."""
    tags = req.environ.get('HTTP_IF_NONE_MATCH')
    if tags is not None:
        return _names(tags, response, weak=True)
    since = _date(req.environ.get('HTTP_IF_MODIFIED_SINCE', ''))
    return since is not None and bool(response.last_modified <= since)


def _names(tags: str, response: webob.Response, *, weak: bool) -> bool:
    """Whether a list of entity tags, or *, names the bytes of the response."""
    if tags.strip() == '*':
        return response.last_modified is not None
    return any(
        opaque == response.etag and (weak or not prefix)
        for prefix, opaque in _ENTITY_TAG.findall(tags)
    )


def read(header: str, size: int) -> tuple[int, int] | None:
    """The (first, last) byte that a Range header asks for, both included.

    None for several ranges, several Range lines and an unknown unit, which HTTP lets
    a server ignore. Raises HTTPError 416 for a header that is malformed, and for a range
    that begins behind the end.
    """
    unit, equals, text = header.partition('=')
    unit = unit.strip().lower()
    if equals and (unit not in ('', 'bytes') or _NEXT_LINE.search(text)):
        return None
    asked = [part for part in (part.strip(' \t') for part in text.split(',')) if part]
    ranges = [_RANGE.fullmatch(part) for part in asked]
    if not unit or not ranges or any(found is None or found[0] == '-' for found in ranges):
        raise _impossible(f'The Range "{header[:80]}" is malformed.', size)
    spans = [_span(header, found[1], found[2], size) for found in ranges if found]
    if len(spans) > 1:
        return None
    first, last = spans[0]
    if first > last:
        raise _impossible(f'The image has {size} bytes; none is in the Range.', size)
    return first, last


def _span(header: str, begin: str, end: str, size: int) -> tuple[int, int]:
    """The first and the last byte of one range; the first is greater if there is none."""
    if not begin:
        return max(size - int(end), 0), size - 1
    if end and int(end) < int(begin):
        raise _impossible(f'The Range "{header[:80]}" ends before it begins.', size)
    return int(begin), min(int(end), size - 1) if end else size - 1


def _is_current(if_range: str, response: webob.Response) -> bool:
    """Whether If-Range names the bytes of the response. A weak or unreadable one does not."""
    if if_range.startswith('"'):
        return bool(response.etag) and if_range.rstrip() == f'"{response.etag}"'
    date = _date(if_range)
    return date is not None and bool(response.last_modified == date)


def _date(text: str) -> datetime.datetime | None:
    """A date of HTTP, in one of its three forms; None for a text that is none."""
    try:
        parsed = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.UTC)


def _impossible(sentence: str, size: int) -> HTTPError:
    return HTTPError(416, sentence, {'Content-Range': f'bytes */{size}'})
