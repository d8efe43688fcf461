"""What tells the staging areas of several hosts from each other."""

import contextlib
import os
import pathlib
import uuid

from glance.domain.events import host_here

AREA_FILE = '.area'  # has the id of the staging area


def origin_of(root: str | os.PathLike[str]) -> dict[str, str]:
    """The id of a staging area, and this host. Hosts that share the folder find the same id."""
    path = pathlib.Path(root, AREA_FILE)
    if not path.exists():
        fresh = path.with_name(f'{AREA_FILE}.{uuid.uuid4().hex}')
        fresh.write_text(uuid.uuid4().hex)
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(fresh, path)
        fresh.unlink()
    return {'area': path.read_text().strip(), 'host': host_here()}
