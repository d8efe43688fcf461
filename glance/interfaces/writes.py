"""Writes as values: a repository makes them, and a transaction of the service applies them.

A task type combines writes for the POST and for the commit of its tasks. No code of
a plug-in runs inside a transaction: on SQLite, where one native thread makes all
writes, a mere log line there could stop the service from ever writing again.
"""

from glance.domain.lease import Lease


class Write:
    """One change of the database, or one condition that it must meet.

    Only the repositories of the service make writes, and only the queue and the
    repositories of the same kind accept them.

    lease  the claim for which the write was made; None if it belongs to no claim
    """

    lease: Lease | None


class WrongWrite(Exception):
    """Raised for a write of another claim, or one that no repository of this kind made."""
