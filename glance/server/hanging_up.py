"""Whether a client has hung up while its request waits.

A client that closes only its own direction counts as gone, too: the two cannot be
told apart.
"""

import collections.abc
import typing

from glance import threads

KEY = 'glance.client_is_gone'  # in the environ of a request: is_gone() of its client

_select = threads.original('select')  # eventlet's has no poll
_GONE = _select.POLLRDHUP | _select.POLLHUP | _select.POLLERR


class HasFileno(typing.Protocol):
    def fileno(self) -> int: ...


def watch(
    environ: dict[str, typing.Any],
    connection: HasFileno | int,
    must_go: collections.abc.Callable[[], bool] = lambda: False,
) -> None:
    """Let the application ask whether its client at this connection has gone, or must go."""
    environ[KEY] = lambda: is_gone(connection) or must_go()


def is_gone(connection: HasFileno | int) -> bool:
    look = _select.poll()
    try:
        look.register(connection, _GONE)
        return bool(look.poll(0))
    except (OSError, ValueError):  # it is closed on this side
        return True
