"""Runs of which several steps may be at work in this process, for nobody who runs the whole."""

import collections
import collections.abc
import contextlib
import threading

from glance.domain.entry import Claim
from glance.domain.lease import Lease
from glance.engine.active_runs import ActiveRuns


class SharedRuns:
    """Begins a run for the first of its steps, and ends it after the last."""

    def __init__(self, runs: ActiveRuns) -> None:
        self._runs = runs
        self._begun: collections.Counter[Lease] = collections.Counter()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def begun(self, claim: Claim) -> collections.abc.Iterator[None]:
        """The run of this claim is there inside."""
        lease = claim.lease
        with self._lock:
            if not self._begun[lease]:
                self._runs.begin(claim)
            self._begun[lease] += 1
        try:
            yield
        finally:
            with self._lock:
                self._begun[lease] -= 1
                if not self._begun[lease]:
                    del self._begun[lease]
                    self._runs.end(lease)
