"""Claiming entries of the queue: which ones are claimable, and taking their leases."""

import collections.abc
import json
import typing

import sqlalchemy as sa

from glance.db import entries
from glance.db.models import now, task_queue, tasks, utcnow
from glance.domain.entry import Claim, Outcome
from glance.domain.lease import Lease, Progress
from glance.domain.task import Status

# The message of a task whose entry is damaged.
UNREADABLE = 'The entry of the task in the queue cannot be read; what it was to do is not known.'

_c = task_queue.c

# The last claim got further than the claims before it.
_GOT_FURTHER = sa.or_(
    _c.furthest_step > _c.begun_step,
    sa.and_(_c.furthest_step == _c.begun_step, _c.furthest_bytes > _c.begun_bytes),
)

# The order matters: on MySQL, an assignment sees the values of those before it.
_CLAIM_ENTRIES = (
    sa.update(task_queue)
    .where(_c.task_id.in_(sa.bindparam('ids', expanding=True)))
    .ordered_values(
        (
            _c.attempts,
            sa.case(
                # No process died: the entry is new, or it was handed back.
                (_c.owner.is_(None), _c.attempts),
                (_GOT_FURTHER, 0),
                else_=_c.attempts + 1,
            ),
        ),
        (_c.begun_step, _c.furthest_step),
        (_c.begun_bytes, _c.furthest_bytes),
        (_c.lease, _c.lease + 1),
        (_c.owner, sa.bindparam('holder')),
        (_c.expires_at, now() + sa.bindparam('seconds')),
        (_c.touched, now()),
    )
)

_SELECT_ENTRIES = sa.select(task_queue).where(_c.task_id.in_(sa.bindparam('ids', expanding=True)))

_SET_PROCESSING = (
    sa.update(tasks)
    .where(tasks.c.id.in_(sa.bindparam('ids', expanding=True)), tasks.c.status == Status.PENDING)
    .values(status=Status.PROCESSING, updated_at=sa.bindparam('at'))
)

_SELECT_IMAGE_ID = sa.select(tasks.c.image_id).where(tasks.c.id == sa.bindparam('task'))

# The entry has no lease, or its lease has expired.
_CLAIMABLE = sa.or_(_c.expires_at.is_(None), _c.expires_at < now())


def claim(
    connection: sa.Connection,
    holder: str,
    limit: int,
    *,
    seconds: float,
    versions: collections.abc.Mapping[str, int],
    running: collections.abc.Collection[str],
) -> list[Claim]:
    """TaskQueue.claim() in a transaction."""
    predecessors = {
        row.task_id: row.owner
        # As many rows more as may have to be left out.
        for row in connection.execute(_candidates(limit + len(running), versions))
        if row.task_id not in running
    }
    ids = list(predecessors)[:limit]
    if not ids:
        return []
    connection.execute(_CLAIM_ENTRIES, {'ids': ids, 'holder': holder, 'seconds': seconds})
    connection.execute(_SET_PROCESSING, {'ids': ids, 'at': utcnow()})
    rows = {row.task_id: row for row in connection.execute(_SELECT_ENTRIES, {'ids': ids})}
    return [_claim(connection, rows[task_id], predecessors[task_id]) for task_id in ids]


def unclaimable(
    connection: sa.Connection, versions: collections.abc.Mapping[str, int]
) -> list[tuple[str, int, int]]:
    """TaskQueue.unclaimable() in a transaction."""
    statement = (
        sa.select(_c.type, _c.flow_version, sa.func.count())
        .where(_CLAIMABLE, sa.not_(_is_known(versions)))
        .group_by(_c.type, _c.flow_version)
        .order_by(_c.type, _c.flow_version)
    )
    return [(type_, version, count) for type_, version, count in connection.execute(statement)]


def _candidates(
    limit: int, versions: collections.abc.Mapping[str, int]
) -> sa.Select[tuple[str, str | None]]:
    return (
        sa.select(_c.task_id, _c.owner)
        .where(_CLAIMABLE, _is_known(versions))
        .order_by(_c.priority.desc(), _c.posted_at, _c.task_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )


def _is_known(versions: collections.abc.Mapping[str, int]) -> sa.ColumnElement[bool]:
    """Whether the process knows the type of an entry, and its version of the flow."""
    return sa.or_(
        sa.false(),
        *(
            sa.and_(_c.type == type_, _c.flow_version <= version)
            for type_, version in versions.items()
        ),
    )


def _claim(connection: sa.Connection, row: sa.Row[typing.Any], predecessor: str | None) -> Claim:
    """The claim of an entry. If its work cannot be decoded, the task has failed.

    This raises nothing: the same transaction claims other tasks. discard() finds
    what a failed task owns by the id of its image.
    """
    outcome, message = row.outcome, row.message
    work = _decode(row.work)
    if work is None:
        image_id = connection.scalar(_SELECT_IMAGE_ID, {'task': row.task_id})
        work = {'image_id': image_id} if image_id else {}
        if outcome is None:
            outcome, message = Outcome.FAILURE, UNREADABLE
            entries.set_failure(connection, row.task_id, UNREADABLE)
            entries.delete_logbook(connection, row.task_id)
    return Claim(
        lease=Lease(row.task_id, row.lease),
        type=row.type,
        flow_version=row.flow_version,
        work=work,
        attempts=row.attempts,
        best_progress=Progress(row.furthest_step, row.furthest_bytes),
        outcome=outcome,
        message=message or '',
        cancel_requested=row.cancel_requested,
        request_id=row.request_id,
        predecessor=predecessor,
    )


def _decode(text: str) -> dict[str, typing.Any] | None:
    """The work of an entry, or None if it is no JSON object."""
    try:
        work = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    return work if isinstance(work, dict) else None
