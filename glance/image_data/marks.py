"""The file by which a folder of images or staging says whose it is.

Whoever cleans a folder up goes by the database: what no row names is removed.
With the database of another deployment that would be everything.
"""

import os
import uuid

from glance.domain import errors
from glance.image_data import files

FILE = '.deployment'

# What an administrator did not put there: a fresh file system has it.
_NOTHING = ('lost+found',)


def check(folders, deployment, *, used, database):
    """Mark folders as those of this deployment; those that cannot be its own are refused.

    folders     option to path, of folders that are there
    deployment  the id of it; None if the database is new
    used        whether the database has ever held a task or an image: then it may
                be older than the marks, and files without one are taken for its own
    database    what to call it in a sentence

    Raises ConfigError; then nothing is marked.
    """
    unmarked = []
    for option, folder in folders.items():
        try:
            named = _read(folder)
            if named is None:
                if not used and _holds_files(folder):
                    raise _foreign(option, folder, 'holds files that it does not know', database)
                unmarked.append(folder)
            elif named != deployment:
                raise _foreign(option, folder, f'is marked as that of {named!r}', database)
        except OSError as error:
            raise errors.ConfigError(
                f'{option}: {folder} cannot be read: {error.strerror}.'
            ) from None
    if deployment is None:
        return
    for folder in unmarked:
        named = _mark(folder, deployment)
        if named != deployment:  # somebody was faster
            raise _foreign('A folder', folder, f'is marked as that of {named!r}', database)


def _foreign(option, folder, why, database):
    return errors.ConfigError(
        f'{option}: {folder} does not belong to the database {database}: it {why}. '
        'Restore the database that it belongs to, or name another folder, or, if what is in it '
        f'may be lost, remove all of it with its file {FILE}. If the database is an earlier state '
        f'of the right one, remove {FILE} alone. Nothing was changed.'
    )


def _read(folder):
    """The deployment that a folder names, or None."""
    try:
        with open(f'{folder}/{FILE}', 'rb') as file:
            return file.read(100).decode(errors='replace').strip()
    except FileNotFoundError:
        return None


def _holds_files(folder):
    return any(not name.startswith('.') and name not in _NOTHING for name in os.listdir(folder))


def _mark(folder, deployment):
    """Name the deployment, whole or not at all; returns who is named in the end."""
    fresh = f'{folder}/{FILE}.{uuid.uuid4().hex}'
    try:
        with open(fresh, 'w') as file:
            file.write(deployment + '\n')
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, f'{folder}/{FILE}')  # whoever comes first decides
        except FileExistsError:
            pass
        finally:
            os.unlink(fresh)
        files.sync_folder(folder)
    except OSError as error:
        raise errors.ConfigError(f'{folder}/{FILE} cannot be made: {error.strerror}.') from None
    return _read(folder)
