"""The id of a folder. By it, processes on several hosts know whether they see the same folder."""

import errno
import os
import pathlib
import re
import uuid

from glance.image_data import files

FILE = '.area'
_ID = re.compile('[0-9A-Za-z_-]{1,100}')


def of(folder: str | os.PathLike[str]) -> str:
    """The id of a folder, which gets one if it has none. Raises OSError."""
    found = read(folder)
    if found is None:
        files.make_once(f'{os.fspath(folder)}/{FILE}', uuid.uuid4().hex)
        found = read(folder)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, 'it went while it was made', os.fspath(folder))
    return found


def read(folder: str | os.PathLike[str]) -> str | None:
    """The id of a folder, or None if it has none. Raises OSError."""
    path = pathlib.Path(folder, FILE)
    try:
        text = files.read_mark(path)
    except FileNotFoundError:
        return None
    if not _ID.fullmatch(text):
        raise OSError(errno.EINVAL, 'it has no id in it; remove it', str(path))
    return text
