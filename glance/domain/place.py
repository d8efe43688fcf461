"""Where a step can be done."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """What a worker must have at hand to do a step.

    area   the id of the staging area that holds what the step reads; None: any
    store  the name of a store that the step, or a later one on the same host, writes to
    host   how messages call the host of the area
    flow   the task type of which it must know the steps, and the version; None: any. What
           sends the step adds it
    """

    area: str | None = None
    store: str | None = None
    host: str | None = dataclasses.field(default=None, compare=False)
    flow: tuple[str, int] | None = None

    def anywhere(self) -> 'Place':
        """The same without what binds it to one host."""
        return Place(store=self.store, flow=self.flow)

    def __str__(self) -> str:
        parts = []
        if self.area is not None:
            parts.append(f'the files that were staged on host {self.host or "unknown"}')
        if self.store is not None:
            parts.append(f'the store "{self.store}"')
        return ' and '.join(parts)


ANYWHERE = Place()
