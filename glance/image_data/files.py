"""File operations of the system; those that may take long run in native threads.

No function here uses anything that is patched in a green process, so native
threads may call all of them.
"""

import contextlib
import errno
import math
import os
import stat
import uuid
from collections.abc import Callable, Iterator
from typing import TypeVar

from glance import interrupts, native_threads, threads
from glance.domain import errors

# Size in bytes from which a native thread removes a file, because that takes milliseconds.
LARGE = 16 * 2**20

# Bytes that stay free on the disk for other programs; the database may be on the same disk.
RESERVE = 64 * 2**20
# On a small file system this part of it stays free instead.
RESERVE_PART = 0.01

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
# What disks, mounts and permissions answer. Networks and programs have other errors.
_UNUSABLE = (
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.EUCLEAN),
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG),
    *(errno.EFBIG, errno.EBUSY, errno.ENODEV, errno.ENXIO, errno.EOPNOTSUPP),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM),
)

_Result = TypeVar('_Result')


@contextlib.contextmanager
def named_errors(where: str) -> Iterator[None]:
    """Turn the errors of a disk into StorageFull and StorageUnusable, which name it.

    where  what is on the disk, as in 'the image store'
    """
    try:
        yield
    except OSError as error:
        raise explained(error, where) from error


def explained(error: OSError, where: str) -> OSError | errors.TaskFailed:
    """The error that a user understands, for an error of a disk; else the error itself."""
    if error.errno in _NO_ROOM:
        return errors.StorageFull(where)
    if error.errno in _UNUSABLE and not isinstance(error, ConnectionError):
        return errors.StorageUnusable(where, error)
    return error


class Disk:
    """What is asked of a disk while bytes are written, and what fails when the disk is full.

    A caller can pass another Disk, for instance one that is full.
    """

    def free_bytes(self, handle: int) -> float:
        """Bytes that may still be written to the file system of an open file; at least zero."""
        found = threads.original('os').fstatvfs(handle)
        if not found.f_blocks:
            return math.inf  # unknown: some network file systems, and a tmpfs without a limit
        reserve = min(RESERVE, int(found.f_blocks * found.f_frsize * RESERVE_PART))
        free: int = found.f_bavail * found.f_frsize - reserve
        return max(0, free)

    def write_all(self, handle: int, data: bytes) -> None:
        """Write all of data to an open file."""
        os = threads.original('os')
        left = memoryview(data)
        while left:
            left = left[os.write(handle, left) :]

    def copy_range(self, source: int, target: int, most: int) -> int:
        """Let the kernel copy, and return how many bytes it has copied.

        Where the file system can, both files then share their blocks.
        """
        copied: int = threads.original('os').copy_file_range(source, target, most)
        return copied

    def sync(self, handle: int) -> None:
        """Make the bytes of an open file durable."""
        threads.original('os').fdatasync(handle)

    def link(self, path: str, target: str) -> None:
        """Give a file a second name."""
        threads.original('os').link(path, target, follow_symlinks=False)

    def make_folder(self, path: str) -> None:
        """Make a folder for its owner only."""
        threads.original('os').mkdir(path, 0o700)


DISK = Disk()


def wait_for(
    future: native_threads.Future[_Result], on_wait: Callable[[], object], tick: float
) -> _Result:
    """The result of a Future. on_wait is called every tick seconds until it is there."""
    while not interrupts.wait(future, tick):
        on_wait()
    return future.result()


def open_plain(path: str, flags: int, *, shared: bool = False) -> int:
    """A descriptor of a regular file. Raises OSError.

    shared  whether the file may have other names
    """
    os = threads.original('os')
    # Without O_NONBLOCK, opening a pipe would wait until another process writes to it.
    handle: int = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or (found.st_nlink != 1 and not shared):
        os.close(handle)
        kind = 'Not a regular file' if shared else 'Not a regular file with only one name'
        raise OSError(errno.EINVAL, kind, path)
    return handle


def cut(path: str, size: int, cuts: bool = True) -> int:
    """Cut a file that is longer than this, if asked to; returns its size in bytes then.

    Raises EOFError if it is shorter, OSError if it is no plain file. It blocks while
    the disk works, so call it in a native thread.
    """
    os = threads.original('os')
    handle = open_plain(path, os.O_WRONLY)
    try:
        found: int = os.fstat(handle).st_size
        if found < size:
            raise EOFError(f'{path} has {found} bytes, less than the {size} of its checkpoint')
        if cuts and found > size:
            os.ftruncate(handle, size)
            found = size
        return found
    finally:
        os.close(handle)


def make_once(path: str, text: str) -> None:
    """Make a file with this text, unless there is one already, in one moment and durably.

    Of several processes that do so at the same time, one is the first; all others read what
    it has written. Raises OSError.
    """
    os = threads.original('os')
    temporary = f'{path}.{uuid.uuid4().hex}'
    try:
        with open(temporary, 'x') as file:
            file.write(text + '\n')
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    sync_folder(os.path.dirname(path))


def read_mark(path: str | os.PathLike[str]) -> str:
    """The text of a small file, without white space around it. Raises OSError."""
    os = threads.original('os')
    handle = open_plain(str(path), os.O_RDONLY, shared=True)
    try:
        text: bytes = os.read(handle, 200)
    finally:
        os.close(handle)
    return text.decode(errors='replace').strip()


def sync_folder(path: str) -> None:
    """Make the names in a folder durable."""
    os = threads.original('os')
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def ensure_folder(path: str, what: str) -> str:
    """The absolute path of a folder, which is made with mode 0700 if it does not exist.

    what  how messages call the folder

    Raises ConfigError if files cannot be made in it.
    """
    os = threads.original('os')
    path = os.path.abspath(path)
    try:
        os.makedirs(path, 0o700, exist_ok=True)
    except OSError as error:
        raise errors.ConfigError(f'The {what} {path} cannot be made: {error.strerror}.') from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise errors.ConfigError(f'The {what} {path} cannot be written to.')
    return path


def is_folder(path: str) -> bool:
    """Whether the path is a folder; a symbolic link to a folder is not."""
    os = threads.original('os')
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def remove(path: str, pool: native_threads.NativePool) -> None:
    """Remove a file if it exists. A native thread of the pool removes a large one."""
    os = threads.original('os')
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    if found.st_size >= LARGE and found.st_nlink == 1:
        pool.submit(_unlink, path).result()
    else:
        _unlink(path)


def remove_folder(path: str, pool: native_threads.NativePool) -> None:
    """Remove a folder with all its contents, if it exists. No link is followed."""
    os = threads.original('os')
    if not is_folder(path):
        remove(path, pool)
        return
    for name in os.listdir(path):
        remove_folder(f'{path}/{name}', pool)
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass


def _unlink(path: str) -> None:
    os = threads.original('os')
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
