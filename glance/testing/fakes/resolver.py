"""A resolver that knows the names that a test gives it."""

import collections.abc

from glance.interfaces.resolver import Resolver


class FakeResolver(Resolver):
    """Knows a few names, and keeps which ones it was asked for, in asked.

    known    name to its addresses
    default  the addresses of every other name

    answers maps a name to lists of addresses that are given one after another.
    The last list is given for ever.
    """

    def __init__(
        self,
        known: collections.abc.Mapping[str, collections.abc.Sequence[str]] | None = None,
        *,
        default: collections.abc.Sequence[str] = (),
    ) -> None:
        self.known = dict(known or {})
        self.answers: dict[str, list[list[str]]] = {}
        self.asked: list[tuple[str, int]] = []
        self._default = default

    def addresses(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        if host in self.answers:
            answers = self.answers[host]
            return answers.pop(0) if len(answers) > 1 else answers[0]
        return list(self.known.get(host, self._default))
