"""A checkpoint: how far a fetch has come, so that a later claim can resume it."""

import dataclasses
import json
import re
import typing

# What may be sent in a header. Any other validator is not used.
VALIDATOR = re.compile(r'[\x20-\x7e]{1,512}')


@dataclasses.dataclass(frozen=True)
class Rest:
    """The bytes of a file that are still to be sent, behind the first `offset` bytes.

    size       bytes of the whole file, or None
    validator  what the source must have its file still identified by, or None: a checksum
               of the whole file will show whether the parts belong together
    is_shown   whether the response must show the validator. It must if another source gave
               it, because a source may ignore the question
    """

    offset: int
    size: int | None
    validator: str | None
    is_shown: bool = False


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Says that the first bytes of a file were received and are durable.

    offset     the number of these bytes
    size       bytes of the whole file as the source announced them, or None
    validator  identifies this state of the file at the source: a strong ETag, or a
               Last-Modified that no other state can have
    closed     True if no process writes to the file any more: the task was handed back
    mirror     number of the source, of those that the import names
    """

    offset: int
    size: int | None
    validator: str
    closed: bool = False
    mirror: int = 0

    def moved_to(self, written: int) -> typing.Self:
        """The checkpoint behind so many bytes, if that is further.

        Of a complete file the last byte is left out, because a source cannot be asked for
        an empty range.
        """
        written -= self.size in (None, written)
        if written <= self.offset or (self.size is not None and written > self.size):
            return self
        return dataclasses.replace(self, offset=written)

    def as_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> typing.Self | None:
        """The Checkpoint that as_json() wrote; None for any other text."""
        try:
            found = cls(**json.loads(text))
        except (ValueError, TypeError, RecursionError):
            return None
        numbers = (found.offset, found.offset if found.size is None else found.size)
        whole = all(type(number) is int and number > 0 for number in numbers)
        known = (
            isinstance(found.validator, str)
            and VALIDATOR.fullmatch(found.validator)
            and isinstance(found.closed, bool)
            and type(found.mirror) is int
            and found.mirror >= 0
        )
        return found if whole and known else None
