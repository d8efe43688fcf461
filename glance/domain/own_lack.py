"""A lack of this process or its host: of descriptors, buffers, memory or threads.

It says nothing about a task or its source, and it passes. So it is waited for, or the
run is dropped and goes on later; it fails no task.
"""

import errno
import typing

KINDS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def is_one(error: BaseException | None) -> bool:
    """Whether an error is such a lack, or was made of one."""
    seen: typing.Any = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in KINDS:
            return True
        seen = seen.__cause__ or seen.__context__
    return False
