"""The connections of a process whose clients are to send something.

They cost a client nothing, so there may be too many of them. Then the one that
has waited longest is closed: an honest client sends without long pauses.
"""

import contextlib
import logging
import socket

LOG = logging.getLogger(__name__)


class Waiting:
    """
    most_per_address  connections of one address whose head or body is awaited; 0 is no limit
    """

    def __init__(self, most_per_address: int = 0) -> None:
        self._most = most_per_address
        # Both begin with what has waited longest.
        self._addresses: dict[socket.socket, str | None] = {}
        self._of_address: dict[str, dict[socket.socket, None]] = {}

    def add(self, connection: socket.socket, address: str | None) -> None:
        """A client is awaited; address is None between two requests, which is not counted."""
        self.discard(connection)
        if address is None or not self._most:
            self._addresses[connection] = None
            return
        self._addresses[connection] = address
        mates = self._of_address.setdefault(address, {})
        mates[connection] = None
        if len(mates) > self._most:
            self._close(next(iter(mates)))

    def discard(self, connection: socket.socket) -> None:
        """A client is awaited no more."""
        address = self._addresses.pop(connection, None)
        if address is None:
            return
        mates = self._of_address[address]
        del mates[connection]
        if not mates:
            del self._of_address[address]

    def close_longest(self) -> bool:
        """Close the connection that has waited longest; False if none waits."""
        if not self._addresses:
            return False
        self._close(next(iter(self._addresses)))
        return True

    def _close(self, connection: socket.socket) -> None:
        self.discard(connection)
        LOG.debug('A connection is closed that has waited too long among too many')
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)  # wakes its green thread
