"""Types of options that oslo.config does not have."""

import os
import typing

from oslo_config import types


class Path(types.String):
    """A path. A "~" at its begin is the home directory, as in a shell."""

    def __init__(self) -> None:
        super().__init__(type_name='path')

    def __call__(self, value: typing.Any) -> str:
        path = os.path.expanduser(super().__call__(value))
        if path.startswith('~'):
            raise ValueError(f'{path.partition("/")[0]} is no home directory')
        return path


class BracketList(types.List):
    """A list with or without brackets: "[http,https]" or "http,https".

    Operators' files have both, because some options used to need brackets.
    """

    def __init__(self, item_type: types.ConfigType | None = None) -> None:
        super().__init__(item_type=item_type, type_name='list value')

    def __call__(self, value: typing.Any) -> list[typing.Any]:
        if isinstance(value, str):
            value = value.strip()
            if value.startswith('[') and value.endswith(']'):
                value = value[1:-1]
        values: list[typing.Any] = super().__call__(value)
        return values
