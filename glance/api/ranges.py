"""The Range header of a download: one range of bytes."""

import re

from glance.api.errors import HTTPError
from glance.domain import errors

_ONE = re.compile('bytes=([0-9]{0,100})-([0-9]{0,100})')


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
