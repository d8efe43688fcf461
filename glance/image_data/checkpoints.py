"""The checkpoint of a staged file: a small file beside it.

It stands in the folder of the claim that receives, so it is found where the
bytes are, goes when they go, and needs no fence: no later claim writes there.
"""

from glance import threads
from glance.domain.checkpoint import Checkpoint
from glance.image_data import files

_MOST = 4096  # bytes that are looked at


def _beside(path):
    return f'{path}.checkpoint'


def write(path, checkpoint):
    """Note durably what the staged file at path holds durably. Takes a native thread's time."""
    os = threads.original('os')
    fresh = f'{_beside(path)}.new'
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, checkpoint.as_json().encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    os.rename(fresh, _beside(path))


def read(path):
    """The Checkpoint of the staged file at path, or None."""
    os = threads.original('os')
    try:
        handle = files.open_plain(_beside(path), os.O_RDONLY)
    except OSError:
        return None
    try:
        return Checkpoint.of_json(os.read(handle, _MOST).decode('utf-8', 'replace'))
    finally:
        os.close(handle)


def remove(path):
    """Forget what was noted; before the bytes themselves are replaced."""
    os = threads.original('os')
    try:
        os.unlink(_beside(path))
    except FileNotFoundError:
        pass
