"""A RunControl for steps that run without an executor."""

import contextlib

from glance.domain.lease import Lease
from glance.interfaces.executor import RunControl


class FakeRunControl(RunControl):
    """Keeps the bytes that steps report, in reported, and never stops a run."""

    def __init__(self) -> None:
        self.reported: list[int | None] = []

    def progress(self, lease: Lease, bytes_done: int | None = None) -> None:
        self.reported.append(bytes_done)

    def at_work(
        self, lease: Lease, *, undoing: bool = False
    ) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def waiting(self, lease: Lease) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def done(self, lease: Lease) -> None:
        pass

    def raise_if_stopped(self, lease: Lease) -> None:
        pass
