"""How host names are resolved to IP addresses."""

import abc


class Resolver(abc.ABC):
    """Finds the IP addresses of host names."""

    @abc.abstractmethod
    def addresses(self, host: str, port: int) -> list[str]:
        """All IP addresses of a host as text; an empty list if there are none."""
