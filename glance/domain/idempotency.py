"""The key by which a client can send a request again without doing its work twice."""

import dataclasses
import hashlib
import json
import re
import typing

from glance.domain import errors

LIFETIME = 24 * 3600  # seconds for which a key stands for its request

_TEXT = re.compile('[ -~]{1,255}')


@dataclasses.dataclass(frozen=True)
class IdempotencyKey:
    """A key of one project, and the request that came with it.

    owner        the project of the caller
    text         what the client chose
    fingerprint  SHA-256 of what the request asks for
    """

    owner: str
    text: str
    fingerprint: str


def key_for(text: str, owner: str, request: typing.Any) -> IdempotencyKey:
    """The key of a request. Raises Invalid unless the text can be one.

    request  what the request asks for, plain data. The order of names in it and how it was
             written make no difference
    """
    if not _TEXT.fullmatch(text):
        raise errors.Invalid(
            '"Idempotency-Key" must have 1 to 255 characters, all of them printable ASCII.'
        )
    canonical = json.dumps(request, sort_keys=True, separators=(',', ':'))
    return IdempotencyKey(owner, text, hashlib.sha256(canonical.encode()).hexdigest())
