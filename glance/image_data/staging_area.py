"""What tells the staging areas of several hosts from each other."""

import os

from glance.domain import errors
from glance.domain.events import host_here
from glance.image_data import folder_id


def origin_of(root: str | os.PathLike[str]) -> dict[str, str]:
    """The id of a staging area, and this host. Hosts that share the folder find the same id.

    Raises ConfigError if it cannot be read or made.
    """
    try:
        return {'area': folder_id.of(root), 'host': host_here()}
    except OSError as error:
        raise errors.ConfigError(
            f'work_dir: {os.fspath(root)}/{folder_id.FILE} cannot be used: {error.strerror}.'
        ) from None
