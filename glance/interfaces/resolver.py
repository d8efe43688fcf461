"""How host names are resolved to IP addresses."""

import abc
import collections.abc


class Resolver(abc.ABC):
    """Finds the IP addresses of host names."""

    @abc.abstractmethod
    def addresses(self, host: str, port: int) -> list[str]:
        """All IP addresses of a host as text; an empty list if there are none."""

    def addresses_of_all(
        self, places: collections.abc.Sequence[tuple[str, int]], *, within: float
    ) -> list[list[str]]:
        """What addresses() finds for each of these hosts and ports, in their order.

        A request waits for it. A Resolver whose answers may take long should override it: ask
        for all hosts at the same time, and after `within` seconds count those that nobody
        has answered for as hosts without addresses.

        May raise Unavailable if too many other hosts are asked for now.
        """
        return [self.addresses(host, port) for host, port in places]
