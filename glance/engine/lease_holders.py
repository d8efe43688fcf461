"""The names under which processes hold leases, and which processes are provably dead.

A name consists of host, state folder, boot and process. While a process lives, it
holds a lock on a file of that name in the run folder of its state folder. The
kernel releases the lock however the process ends.
"""

import collections.abc
import errno
import fcntl
import os
import pathlib
import typing
import uuid

from glance.domain.events import host_here

_BOOT_ID = pathlib.Path('/proc/sys/kernel/random/boot_id')


def _boot(boot_id: pathlib.Path) -> str:
    try:
        return boot_id.read_text().strip()
    except OSError:
        return ''  # unknown; then it proves nothing


class LeaseHolder:
    """The name of this process, from register() until release() or its end.

    boot  the id of the current boot; '' if it is unknown, which proves nothing
    """

    def __init__(self, folder: pathlib.Path, name: str, descriptor: int, boot: str = '') -> None:
        self._folder = folder
        self._locked = True
        self._boot = boot
        self.descriptor = descriptor
        self.name = name

    @classmethod
    def register(
        cls, folder: str | os.PathLike[str], boot_id: pathlib.Path = _BOOT_ID
    ) -> typing.Self:
        """Create a new name for this process, and lock its file in the run folder.

        boot_id  the file in which the kernel shows the id of the current boot
        """
        folder, boot = pathlib.Path(folder), _boot(boot_id)
        name = '/'.join(
            (host_here(), _folder_id(folder), boot, f'{os.getpid()}-{uuid.uuid4().hex[:12]}')
        )
        path = folder / _file_of(name)
        # Other processes look for the final name, so the file gets it only when it is locked.
        unnamed = path.with_suffix('.new')
        descriptor = os.open(unnamed, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.rename(unnamed, path)
        return cls(folder, name, descriptor, boot)

    @classmethod
    def adopt(
        cls,
        folder: str | os.PathLike[str],
        name: str,
        descriptor: int,
        boot_id: pathlib.Path = _BOOT_ID,
    ) -> typing.Self:
        """Take over a name that the parent of this process has registered.

        descriptor  of its locked file, inherited from the parent
        """
        return cls(pathlib.Path(folder), name, descriptor, _boot(boot_id))

    def dead(self, names: collections.abc.Iterable[str]) -> list[str]:
        """The holders among these that were processes of this host and are gone."""
        return [name for name in names if self.is_dead(name)]

    def is_dead(self, name: str) -> bool:
        """Whether this holder was a process of this host and is gone."""
        if name == self.name:
            return False
        try:
            host, folder, boot, _process = name.split('/')
        except ValueError:
            return False
        if (host, folder) != tuple(self.name.split('/')[:2]):
            return False
        if boot and self._boot and boot != self._boot:
            return True
        return _can_be_locked(self._folder / _file_of(name))

    def is_dead_here(self, name: str) -> bool:
        """Whether this holder is dead, and the host was not restarted since."""
        boot = name.split('/')[2] if name.count('/') == 3 else ''
        return bool(boot) and boot == self._boot and self.is_dead(name)

    def sweep(self, holding: collections.abc.Iterable[str]) -> None:
        """Remove the files of dead processes, unless they still hold leases.

        holding  the names of all holders of leases
        """
        kept = {_file_of(name) for name in holding}
        for name in self.unlocked() - kept:
            (self._folder / name).unlink(missing_ok=True)

    def unlocked(self) -> set[str]:
        """The names of the files of processes that are gone."""
        own = _file_of(self.name)
        return {
            path.name
            for path in self._folder.glob('*.owner')
            if path.name != own and _can_be_locked(path)
        }

    def release(self) -> None:
        """Give the name up. Idempotent."""
        if self._locked:
            (self._folder / _file_of(self.name)).unlink(missing_ok=True)
            self.unlock()

    def unlock(self) -> None:
        """Let the name count as that of a dead process. Idempotent."""
        if self._locked:
            os.close(self.descriptor)
            self._locked = False


def _can_be_locked(path: pathlib.Path) -> bool:
    """Whether the process that made this file is gone. A missing file proves nothing."""
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


def _file_of(name: str) -> str:
    return f'{name.rpartition("/")[2]}.owner'


def _folder_id(folder: pathlib.Path) -> str:
    """The id of this state folder. It tells apart two hosts of the same name."""
    path = folder / 'id'
    fresh = folder / f'id.{uuid.uuid4().hex}'
    fresh.write_text(uuid.uuid4().hex)
    try:
        os.link(fresh, path)  # the first process decides which id the folder has
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return path.read_text().strip()
