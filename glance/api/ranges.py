"""Which bytes a download asks for, and whether the caller has them already."""

import re

from glance.api.errors import HTTPError
from glance.domain import errors

_ONE = re.compile('bytes=([0-9]{0,100})-([0-9]{0,100})')
_OLD = re.compile(r'bytes ([0-9]{1,100}-[0-9]{1,100})/(?:[0-9]{1,100}|\*)')


def asked(req, answer, size):
    """The (first, last) byte to send, both included; None: all of them.

    answer  has the ETag and Last-Modified of the bytes, for If-Range

    A Range means something for GET only. Content-Range in a request is how old
    clients spell it. Raises what read() raises.
    """
    header, old = req.environ.get('HTTP_RANGE'), req.environ.get('HTTP_CONTENT_RANGE')
    if req.method != 'GET' or not (header or old):
        return None
    if 'HTTP_IF_RANGE' in req.environ and answer not in req.if_range:
        return None
    if header:
        return read(header, size)
    found = _OLD.fullmatch(old.strip())
    if found is None:
        raise _impossible(f'The Content-Range "{old[:80]}" is malformed.', size)
    return read(f'bytes={found[1]}', size)


def unchanged(req, answer):
    """Whether the caller has these bytes: If-None-Match, or else If-Modified-Since."""
    if req.method not in ('GET', 'HEAD'):
        return False
    if 'HTTP_IF_NONE_MATCH' in req.environ:
        return bool(answer.etag) and answer.etag in req.if_none_match
    since = req.if_modified_since
    return since is not None and answer.last_modified <= since


def read(header, size):
    """The (first, last) byte that a Range header asks for, both included.

    Raises Invalid for several ranges, HTTPError 416 for one that is malformed
    or begins behind the end.
    """
    if ',' in header:
        raise errors.Invalid('Several ranges in one request are not supported.')
    found = _ONE.fullmatch(header.replace(' ', ''))
    if found is None or found[0] == 'bytes=-':
        raise _impossible(f'The Range "{header[:80]}" is malformed.', size)
    begin, end = found.groups()
    if not begin:
        first, last = max(size - int(end), 0), size - 1
    else:
        first, last = int(begin), min(int(end), size - 1) if end else size - 1
        if end and int(end) < first:
            raise _impossible(f'The Range "{header[:80]}" ends before it begins.', size)
    if first > last:
        raise _impossible(f'The image has {size} bytes; none is in the Range.', size)
    return first, last


def _impossible(sentence, size):
    return HTTPError(416, sentence, {'Content-Range': f'bytes */{size}'})
