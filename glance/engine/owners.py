"""Which process holds leases under which name, and which of them are provably dead.

Owner = host, state folder, boot, process. A process holds a lock on a file of
that name in the run folder of its state folder for as long as it lives; the
kernel lets go of it however the process ends.
"""

import errno
import fcntl
import os
import pathlib
import socket
import uuid

_BOOT_ID = pathlib.Path('/proc/sys/kernel/random/boot_id')


def _boot():
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ''  # unknown; then nothing is proved by it


class Owner:
    """The name of this process, held from take() until it ends or release()."""

    def __init__(self, folder, name, descriptor):
        self._folder = folder
        self._descriptor = descriptor
        self.name = name

    @classmethod
    def take(cls, folder):
        """Make and lock a name of our own in the run folder."""
        folder = pathlib.Path(folder)
        name = '/'.join(
            (
                socket.gethostname()[:64],
                _folder_id(folder),
                _boot(),
                f'{os.getpid()}-{uuid.uuid4().hex[:12]}',
            )
        )
        path = folder / _file_of(name)
        # Locked before it has the name by which others look for it.
        unnamed = path.with_suffix('.new')
        descriptor = os.open(unnamed, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.rename(unnamed, path)
        return cls(folder, name, descriptor)

    def dead(self, names):
        """Those of these owners that were processes of this host and are gone."""
        return [name for name in names if self.is_dead(name)]

    def is_dead(self, name):
        """Whether this owner was a process of this host and is gone."""
        if name == self.name:
            return False
        try:
            host, folder, boot, _process = name.split('/')
        except ValueError:
            return False
        if (host, folder) != tuple(self.name.split('/')[:2]):
            return False
        if boot and _boot() and boot != _boot():
            return True
        return _can_be_locked(self._folder / _file_of(name))

    def sweep(self, holding):
        """Remove the files of dead processes but those of owners that hold leases still."""
        kept = {_file_of(name) for name in (*holding, self.name)}
        for path in self._folder.glob('*.owner'):
            if path.name not in kept and _can_be_locked(path):
                path.unlink(missing_ok=True)

    def release(self):
        """Give the name up. Idempotent."""
        if self._descriptor is None:
            return
        (self._folder / _file_of(self.name)).unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None


def _can_be_locked(path):
    """Whether the process that made this file is gone; a missing file proves nothing."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return False
    finally:
        os.close(descriptor)
    return True


def _file_of(name):
    return f'{name.rpartition("/")[2]}.owner'


def _folder_id(folder):
    """An id that this state folder keeps, so that equal host names prove nothing."""
    path = folder / 'id'
    fresh = folder / f'id.{uuid.uuid4().hex}'
    fresh.write_text(uuid.uuid4().hex)
    try:
        os.link(fresh, path)  # whoever comes first decides
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return path.read_text().strip()
