"""A lack of this process or its host: of descriptors, buffers, memory or threads.

It says nothing about a task or its source, and it passes. So it is waited for, or the
run is dropped and goes on later; it fails no task.
"""

import errno

KINDS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def is_one(error: BaseException | None) -> bool:
    """Whether an error is such a lack, or was made of one."""
    return _found(error) is not None


def sentence(error: BaseException) -> str:
    """What is lacking, in the words of the system."""
    found = _found(error)
    return '' if found is None else found.strerror or str(found)


def _found(error: BaseException | None) -> OSError | None:
    seen: set[int] = set()
    # An error that is raised again in a block that handles what was made of it is its own cause.
    while error is not None and id(error) not in seen:
        if isinstance(error, OSError) and error.errno in KINDS:
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None
