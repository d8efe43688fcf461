"""Types of options that oslo.config does not have."""

import os
import re
import typing
import urllib.parse

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


class Name(types.String):
    """A string that is not empty."""

    def __call__(self, value: typing.Any) -> str:
        name = super().__call__(value)
        if not name.strip():
            raise ValueError('it is empty')
        return name


class Url(types.String):
    """An absolute URL. What is wrong with one is said without repeating it: it may be secret."""

    def __init__(self, *schemes: str) -> None:
        super().__init__(type_name='URI value')
        self._schemes = schemes

    def __call__(self, value: typing.Any) -> str:
        url = super().__call__(value)
        try:
            parts = urllib.parse.urlsplit(url)
            valid = parts.hostname and parts.port != 0 and not re.search(r'[\s\\]', url)
        except ValueError:
            valid = False
        if not valid or parts.scheme.lower() not in self._schemes:
            raise ValueError(f'it is no URL of the form {self._schemes[0]}://HOST:PORT')
        return url


class Permissions(types.Integer):
    """Permissions of a file: octal with a leading 0 or 0o, otherwise a decimal number."""

    def __init__(self) -> None:
        super().__init__(min=0, max=0o777, type_name='permissions')

    def __call__(self, value: typing.Any) -> typing.Any:
        if isinstance(value, str) and re.fullmatch('0o?[0-7]+', value.strip().lower()):
            value = int(value.strip().lower().removeprefix('0o'), 8)
        return super().__call__(value)
