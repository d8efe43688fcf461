"""The times and limits by which a process claims tasks and holds their leases."""

import dataclasses

OUTAGE_PAUSE = 2.0  # seconds between two attempts while the database does not answer


@dataclasses.dataclass(frozen=True)
class LeasePolicy:
    """What the operator has configured in [task]. Times are in seconds.

    lease_time     how long a claim is valid unless it is renewed
    stall_timeout  how long a run may make no progress before it is given up
    max_attempts   how often in a row a run may die without any progress
    poll_interval  pause between two looks at the queue
    """

    lease_time: float
    stall_timeout: float
    max_attempts: int
    poll_interval: float
