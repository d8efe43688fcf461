"""What the head of a source's answer says of the file: its size, its state, which part comes."""

import email.utils
import re

from glance.domain import errors
from glance.domain.checkpoint import VALIDATOR

_PART = re.compile(r'bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})')


def length(name, answer):
    """The bytes a plain body was announced to have, or None. Raises SourceAnswered.

    name  the source, as sentences call it
    """

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


def validator(headers):
    """What proves later that the file is the same to the byte, or None (RFC 9110, 8.8).

    A weak ETag does not, nor does a Last-Modified within the second of the answer.
    """
    tag = headers.get('etag', '').strip()
    if tag.startswith('"') and VALIDATOR.fullmatch(tag):
        return tag
    modified = headers.get('last-modified', '').strip()
    try:
        age = email.utils.parsedate_to_datetime(headers.get('date', '')) - (
            email.utils.parsedate_to_datetime(modified)
        )
    except (ValueError, TypeError):
        return None
    return modified if age.total_seconds() >= 1 and VALIDATOR.fullmatch(modified) else None


def continues(answer, checkpoint):
    """Whether an answer 206 brings all that follows a checkpoint, of the same file.

    Otherwise the whole file is to be asked for again.
    """
    first, last, size = _part(answer) or (None, None, 0)
    announced = answer.headers.get('content-length', '').strip()
    encoding = answer.headers.get('content-encoding', 'identity').strip().lower()
    state = 'etag' if checkpoint.validator.startswith('"') else 'last-modified'
    return (
        (first, last) == (checkpoint.offset, size - 1)
        and checkpoint.size in (None, size)
        and announced in ('', str(size - checkpoint.offset))
        and encoding == 'identity'
        and answer.headers.get(state, checkpoint.validator).strip() == checkpoint.validator
    )


def whole(answer):
    """The bytes of the whole file, by an answer 206 that continues()."""
    _first, _last, size = _part(answer)
    return size


def _part(answer):
    """(first byte, last byte, size of the file) of an answer 206, or None."""
    said = _PART.fullmatch(answer.headers.get('content-range', '').strip())
    return said and tuple(map(int, said.groups()))
