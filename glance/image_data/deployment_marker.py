"""The marker file that says to which deployment a folder of images or staged files belongs.

Cleaning removes each file that no row of the database names. With the database
of another deployment it would remove everything; the marker prevents that.
"""

import os
import pathlib
from collections.abc import Callable, Mapping

from glance.domain import errors
from glance.image_data import files

FILE = '.deployment'

# A new file system holds these names, so a folder with nothing else counts as empty.
_IGNORED = ('lost+found',)


def verify(
    folders: Mapping[str, pathlib.Path],
    deployment: str | None,
    *,
    used: bool,
    database: str,
    names_files: Callable[[pathlib.Path], bool] = lambda folder: False,
) -> None:
    """Mark folders as those of this deployment, and refuse folders of other ones.

    folders     option name to path; the folders exist
    deployment  the id of this deployment, or None if the database is new
    used        whether the database has ever held a task or an image. Such a database
                may be older than the markers, so unmarked files count as its own.
    database    how messages call the database
    names_files names_files(folder): whether the database names files in the folder. An
                empty one without a marker is then the mount point of a missing disk.

    Raises ConfigError; no folder is marked then.
    """
    unmarked = []
    for option, folder in folders.items():
        try:
            named = read(folder)
            if named is None:
                if not used and _holds_files(folder):
                    raise _foreign(
                        option,
                        folder,
                        'the folder holds files that the database does not know',
                        database,
                    )
                if not _holds_files(folder) and names_files(folder):
                    raise errors.ConfigError(
                        f'{option}: {folder} is empty, but the database {database} names files '
                        'in it; its disk may not be mounted. If the files are lost for good, '
                        f'write {deployment} into {folder}/{FILE}. Nothing was changed.'
                    )
                unmarked.append(folder)
            elif named != deployment:
                raise _foreign(
                    option, folder, f'the folder is marked as that of {named!r}', database
                )
        except OSError as error:
            raise errors.ConfigError(
                f'{option}: {folder} cannot be read: {error.strerror}.'
            ) from None
    if deployment is None:
        return
    for folder in unmarked:
        named = _mark(folder, deployment)
        if named != deployment:  # another process marked it meanwhile
            raise _foreign(
                'A folder', folder, f'the folder is marked as that of {named!r}', database
            )


def _foreign(option: str, folder: pathlib.Path, why: str, database: str) -> errors.ConfigError:
    return errors.ConfigError(
        f'{option}: {folder} does not belong to the database {database}: {why}. '
        'Restore the database to which the folder belongs, or configure another folder. If the '
        f'files in it are not needed, remove all of them, {FILE} included. If the database is an '
        f'older copy of the right one, remove only {FILE}. Nothing was changed.'
    )


def read(folder: pathlib.Path) -> str | None:
    """The deployment that the marker of a folder names, or None. Raises OSError."""
    try:
        return files.read_mark(folder / FILE)
    except FileNotFoundError:
        return None


def _holds_files(folder: pathlib.Path) -> bool:
    return any(not name.startswith('.') and name not in _IGNORED for name in os.listdir(folder))


def _mark(folder: pathlib.Path, deployment: str) -> str | None:
    """Write the marker atomically. Returns the deployment that the marker names in the end."""
    try:
        files.make_once(f'{folder}/{FILE}', deployment)
    except OSError as error:
        raise errors.ConfigError(f'{folder}/{FILE} cannot be made: {error.strerror}.') from None
    return read(folder)
