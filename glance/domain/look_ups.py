"""The look-ups of host names that a filter of URLs needs, done side by side."""

import typing


class Resolver(typing.Protocol):
    """What the import filter needs of glance.interfaces.resolver.Resolver."""

    def addresses(self, host: str, port: int) -> list[str]: ...


def look_up_all(
    places: list[tuple[str, int]], resolver: Resolver, within: float
) -> list[list[str]]:
    """The addresses of each place, looked up side by side where the resolver can do that."""
    side_by_side = getattr(resolver, 'addresses_of_all', None)
    if side_by_side is None:  # one that was made when it needed only addresses()
        return [resolver.addresses(host, port) for host, port in places]
    found: list[list[str]] = side_by_side(places, within=within)
    return found


class NotLookedUp(Exception):
    """Raised for a host that was not looked up yet."""


class Known:
    """A resolver that knows the hosts that were looked up, and keeps which others it was asked."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, int], list[str]] = {}
        self.asked: list[tuple[str, int]] = []

    def addresses(self, host: str, port: int) -> list[str]:
        if (host, port) not in self.known:
            if (host, port) not in self.asked:
                self.asked.append((host, port))
            raise NotLookedUp
        return self.known[host, port]
