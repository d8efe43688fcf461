"""What image files need from the system, from native threads where it takes long.

Nothing here uses what is patched in a green process, so all of it may run in
native threads.
"""

import errno
import math
import stat

from glance import threads
from glance.domain import errors

LARGE = 16 * 2**20  # bytes from which removing a file may take milliseconds

# Bytes that are left free for others: the database may be on the same disk.
RESERVE = 64 * 2**20
RESERVE_PART = 0.01  # of a small file system

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def is_full(error):
    """Whether an OSError says that there is no room, on the disk or in a quota."""
    return error.errno in _NO_ROOM


def room(handle):
    """Bytes that may still be written beside an open file; not below zero."""
    disk = threads.original('os').fstatvfs(handle)
    if not disk.f_blocks:
        return math.inf  # it does not say: some network file systems, a tmpfs without a limit
    reserve = min(RESERVE, int(disk.f_blocks * disk.f_frsize * RESERVE_PART))
    return max(0, disk.f_bavail * disk.f_frsize - reserve)


def waited_for(reply, on_wait, tick=2.0):
    """What a native thread answers; on_wait is called every tick seconds until then."""
    while True:
        try:
            return reply.wait(tick)
        except TimeoutError:
            if reply.given:  # then it is the answer
                raise
            on_wait()


def open_plain(path, flags):
    """A descriptor of a plain file to which no other name leads. Raises OSError."""
    os = threads.original('os')
    # Opening a pipe would wait for who writes to it.
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(handle)
        raise OSError(errno.EINVAL, 'It is not a plain file of its own', path)
    return handle


def write_all(handle, data):
    """Write all of data to an open file."""
    os = threads.original('os')
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]


def sync_folder(path):
    """Make the names in a folder durable."""
    os = threads.original('os')
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def own_folder(path, what):
    """The absolute path of a folder, made with mode 0700 if it is not there.

    what  what to call it in a sentence

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


def is_folder(path):
    """Whether there is a folder, not a link to one."""
    os = threads.original('os')
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def remove(path, pool):
    """Remove a file if it is there; a large one in a native thread of the pool."""
    os = threads.original('os')
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    if found.st_size >= LARGE and found.st_nlink == 1:
        pool.submit(_unlink, path).wait()
    else:
        _unlink(path)


def remove_folder(path, pool):
    """Remove a folder and all in it, if it is there. No link is followed."""
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


def _unlink(path):
    os = threads.original('os')
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
