"""How far a fetch has come, so that a later claim need not begin it again."""

import dataclasses
import json
import re
import typing

# As it may be sent in a header; anything else is not kept.
VALIDATOR = re.compile(r'[\x20-\x7e]{1,512}')


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The first bytes of a file, durably received.

    offset     how many
    size       bytes of the whole file as announced, or None
    validator  what the source calls this state of the file: a strong ETag, or
               a Last-Modified that tells it from any other
    closed     nobody writes to it any more: it was handed back
    """

    offset: int
    size: int | None
    validator: str
    closed: bool = False

    def as_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def of_json(cls, text: str) -> typing.Self | None:
        """What as_json() wrote; None for anything else."""
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
        )
        return found if whole and known else None
