"""The commands: parse, bootstrap, run."""

import os


def _open_standard_descriptors() -> None:
    """Lead the descriptors 0, 1 and 2 to /dev/null if they are closed.

    Otherwise the next file that is opened, such as the database, would get the number
    to which errors are written.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


_open_standard_descriptors()  # before other modules open anything
