"""How steps report the bytes that they move."""

import collections.abc

from glance import toolbox
from glance.domain.lease import Lease


def of_store(lease: Lease, size: int, goes_on: bool) -> collections.abc.Callable[[int], None]:
    """Reports stored bytes. What a later claim has to store again brings a task no further.

    size     of the whole object
    goes_on  whether a later claim can use what is stored of it
    """
    runs, most = toolbox.current().runs, 0
    runs.show(lease, 0, size)

    def report(stored: int) -> None:
        nonlocal most
        is_more, most = stored > most, max(most, stored)
        runs.show(lease, stored)
        if goes_on or is_more:
            runs.progress(lease, stored if goes_on else None)
        else:
            runs.raise_if_stopped(lease)

    return report
