"""How the run of a cancelled task is ended in this process, whoever conducts it."""

import collections.abc
import logging
import time

from glance.domain.lease import CancelIgnored
from glance.engine.active_runs import ActiveRuns, Run

LOG = logging.getLogger(__name__)

CANCEL_TIMEOUT = 1.9  # seconds that a step gets to end after its run was cancelled


def cancel(runs: ActiveRuns, run: Run, give_up: collections.abc.Callable[[Run], None]) -> None:
    """Let a run fail at once. If one of its steps goes on all the same, drop the run.

    Called again and again while the run lasts. A step may catch what interrupts it, and a
    native thread may be in a call that cannot be interrupted. What such a step still does has
    no effect: the next claim discards it, here or elsewhere.

    give_up  gives the entry back though the run has not ended
    """
    now = time.monotonic()
    if run.told_at is None:
        run.told_at = now
        runs.cancel(run)
        return
    if now - run.told_at < CANCEL_TIMEOUT or not run.doing:
        return
    first = run.stop is None
    run.stop = run.stop or CancelIgnored()
    if runs.cancel(run, type(run.stop)) and first:
        return
    if first:
        LOG.warning(
            'Task %s is cancelled but hangs in a call that cannot be interrupted; '
            'its place in this process stays taken until the call returns',
            run.claim.lease.task_id,
            extra={'action': 'cancel_ignored'},
        )
    give_up(run)
