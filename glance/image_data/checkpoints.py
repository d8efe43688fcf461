"""Reads and writes the checkpoint of a staged file, a small file beside it.

The checkpoint is in the folder of the claim that receives the bytes. So it is
removed together with them, and needs no fence: no other claim writes there.
"""

from glance import threads
from glance.domain.checkpoint import Checkpoint
from glance.image_data import files

_MAX_SIZE = 4096  # bytes read of a checkpoint file; real ones are much smaller


def _checkpoint_path(path: str) -> str:
    return f'{path}.checkpoint'


def write(path: str, checkpoint: Checkpoint) -> None:
    """Write the checkpoint of the staged file at path, durably.

    It blocks while the disk works, so call it in a native thread.
    """
    os = threads.original('os')
    temporary = f'{_checkpoint_path(path)}.new'
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, checkpoint.as_json().encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    os.rename(temporary, _checkpoint_path(path))


def read(path: str) -> Checkpoint | None:
    """The Checkpoint of the staged file at path, or None."""
    os = threads.original('os')
    try:
        handle = files.open_plain(_checkpoint_path(path), os.O_RDONLY)
    except OSError:
        return None
    try:
        return Checkpoint.from_json(os.read(handle, _MAX_SIZE).decode('utf-8', 'replace'))
    finally:
        os.close(handle)


def remove(path: str) -> None:
    """Remove the checkpoint. Call this before the staged bytes are replaced."""
    os = threads.original('os')
    try:
        os.unlink(_checkpoint_path(path))
    except FileNotFoundError:
        pass
