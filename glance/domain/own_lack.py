"""A lack of this process or its host: of descriptors, buffers, memory or threads.

It says nothing about a task or its source, and it passes. So it is waited for, or the
run is dropped and goes on later; it fails no task.
"""

import errno

from glance.domain import errors

KINDS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def is_one(error: BaseException | None) -> bool:
    """Whether an error is such a lack, or was made of one."""
    return _found(error) is not None


def sentence(error: BaseException) -> str:
    """What is lacking, in the words of the system."""
    found = _found(error)
    return '' if found is None else found.strerror or str(found)


def _found(error: BaseException | None) -> OSError | None:
    for one in errors.made_of(error):
        if isinstance(one, OSError) and one.errno in KINDS:
            return one
    return None
