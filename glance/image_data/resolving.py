"""Resolves host names in native threads, so that a slow name server does not block the hub."""

from collections.abc import Callable

from glance import threads
from glance.interfaces.resolver import Resolver


def _look_up(host: str, port: int) -> list[str]:
    socket = threads.original('socket')
    # As bytes: a text would load the idna codec, through the patched import of a green process.
    found = socket.getaddrinfo(host.encode('ascii'), port, type=socket.SOCK_STREAM)
    # The order stays as it is: the system puts the address that it reaches best first.
    return list(dict.fromkeys(pair[0] for _family, _type, _proto, _name, pair in found))


class SystemResolver(Resolver):
    """Asks the operating system, in native threads of its own.

    size     names that can be looked up at the same time
    timeout  seconds after which a name counts as one without addresses
    look_up  look_up(host, port) asks, in a native thread, for the addresses of a name
    """

    def __init__(
        self,
        *,
        size: int = 8,
        timeout: float = 30,
        look_up: Callable[[str, int], list[str]] = _look_up,
    ) -> None:
        self._timeout = timeout
        self._look_up = look_up
        self._pool = threads.NativePool(size, 'resolver')

    def addresses(self, host: str, port: int) -> list[str]:
        try:
            return self._pool.submit(self._look_up, host, port).result(self._timeout)
        except (OSError, UnicodeError):  # OSError includes TimeoutError
            return []
