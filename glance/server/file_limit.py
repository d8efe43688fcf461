"""How many files and connections this process may have open."""

import resource

MAX_OPEN_FILES = 65536  # the soft limit is raised to this, where the hard limit allows it


def raise_soft_limit() -> int:
    """Raise the soft limit of open files as far as allowed; returns the new soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return soft
