"""The checksum that a user expects the file of an import to have."""

import dataclasses
import re
import typing

DIGITS = {'sha256': 64, 'sha512': 128, 'md5': 32}  # algorithm to hexadecimal digits


@dataclasses.dataclass(frozen=True)
class Checksum:
    """An algorithm of DIGITS and a digest in lower-case hexadecimal."""

    algorithm: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> typing.Self:
        """The checksum ALGORITHM:DIGEST. Raises ValueError with the fact for any other text."""
        algorithm, colon, digest = text.partition(':')
        if not colon:
            raise ValueError('must have the form ALGORITHM:DIGEST, as in "md5:..."')
        if algorithm not in DIGITS:
            raise ValueError(f'must begin with one of {", ".join(f"{one}:" for one in DIGITS)}')
        digits = DIGITS[algorithm]
        if len(digest) != digits:
            raise ValueError(
                f'must have {digits} hexadecimal digits after "{algorithm}:", not {len(digest)}'
            )
        if not re.fullmatch('[0-9a-fA-F]+', digest):
            raise ValueError(f'must have only hexadecimal digits after "{algorithm}:"')
        return cls(algorithm, digest.lower())

    def __str__(self) -> str:
        return f'{self.algorithm}:{self.digest}'
