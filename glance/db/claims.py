"""Claiming entries of the queue: which ones are claimable, and taking their leases."""

import collections.abc
import functools
import json
import typing

import sqlalchemy as sa

from glance.db import entries
from glance.db import events as db_events
from glance.db.models import now, task_queue, tasks, utcnow
from glance.domain import steps
from glance.domain.entry import Claim, Outcome
from glance.domain.events import Event, Kind, PendingEvents, event_here, place_of
from glance.domain.lease import Lease, Progress
from glance.domain.suspects import PAUSES, SUSPECT_DEATHS, SuspectGroup
from glance.domain.task import Status

# The message of a task whose entry is damaged.
UNREADABLE = 'The entry of the task in the queue cannot be read; what it was to do is not known.'

_c = task_queue.c


def got_further(step: typing.Any, bytes_done: typing.Any) -> sa.ColumnElement[bool]:
    """Whether this progress is more than there was when the last claim began."""
    return sa.or_(
        step > _c.begun_step, sa.and_(step == _c.begun_step, bytes_done > _c.begun_bytes)
    )


# What expires_at is once the end of a lease has been counted as a death or as an attempt.
COUNTED = -1

# The lease was not handed back, and its end has not been counted. One bound stands for the index.
_EXPIRED = sa.and_(_c.expires_at >= 0, _c.expires_at < now())

_GOT_FURTHER = got_further(_c.furthest_step, _c.furthest_bytes)

_SELECT_EXPIRED = (
    sa.select(_c.task_id, _c.lease, _c.owner, _c.last_event, _c.steps)
    .where(_EXPIRED)
    .with_for_update(skip_locked=True)
)

_COUNT_DEATHS = (
    sa.update(task_queue)
    .where(_c.task_id.in_(sa.bindparam('ids', expanding=True)))
    .values(
        deaths=sa.case((_GOT_FURTHER, 0), else_=_c.deaths + 1),
        attempts=sa.case((_GOT_FURTHER, 0), else_=_c.attempts),
        expires_at=COUNTED,
        last_event=_c.last_event + 1,
        steps=None,
    )
)

# The order matters: on MySQL, an assignment sees the values of those before it.
_CLAIM_ENTRIES = (
    sa.update(task_queue)
    .where(_c.task_id.in_(sa.bindparam('ids', expanding=True)))
    .ordered_values(
        (_c.begun_step, _c.furthest_step),
        (_c.begun_bytes, _c.furthest_bytes),
        (_c.lease, _c.lease + 1),
        (_c.owner, sa.bindparam('holder')),
        (_c.expires_at, now() + sa.bindparam('seconds')),
        (_c.touched, now()),
        (_c.last_event, _c.last_event + 1),
    )
)

_SELECT_ENTRIES = sa.select(task_queue).where(_c.task_id.in_(sa.bindparam('ids', expanding=True)))

_SET_PROCESSING = (
    sa.update(tasks)
    .where(tasks.c.id.in_(sa.bindparam('ids', expanding=True)), tasks.c.status == Status.PENDING)
    .values(status=Status.PROCESSING, updated_at=sa.bindparam('at'))
)

_SELECT_IMAGE_ID = sa.select(tasks.c.image_id).where(tasks.c.id == sa.bindparam('task'))

# The entry has no lease. In this form no index on expires_at serves it: that one
# would let a claim sort all that waits.
_FREE = sa.func.coalesce(_c.expires_at, COUNTED) == COUNTED
IS_HELD = sa.not_(_FREE)

# The entry has no lease, or its lease has expired.
_CLAIMABLE = sa.or_(_FREE, _EXPIRED)

_IS_SUSPECT = _c.deaths >= SUSPECT_DEATHS
_PAUSE_IS_OVER = sa.or_(
    _c.attempts == 0,
    _c.touched
    + sa.case(*((_c.attempts <= n, pause) for n, pause in enumerate(PAUSES)), else_=PAUSES[-1])
    < now(),
)
_SELECT_SUSPECTS = (
    sa.select(_c.deaths, sa.func.count())
    .where(_IS_SUSPECT, _FREE, _PAUSE_IS_OVER)
    .group_by(_c.deaths)
    # First what is to be cancelled: it has the highest priority. Then not the fewest deaths:
    # while processes die again and again, there are always new suspects.
    .order_by(sa.func.max(_c.priority).desc(), sa.func.min(_c.touched))
)


def claim(
    connection: sa.Connection,
    holder: str,
    limit: int,
    *,
    seconds: float,
    versions: collections.abc.Mapping[str, int],
    running: collections.abc.Collection[str],
    suspects: SuspectGroup | None,
    suspects_here: bool,
) -> list[Claim]:
    """TaskQueue.claim() in a transaction."""
    _count_deaths(connection, running)
    if suspects is None and suspects_here:
        first = connection.execute(_first_suspect(versions, running)).first()
        if first is not None:
            if running:
                return []  # a suspect runs alone: when the others have ended, or alone already
            limit, suspects = 1, SuspectGroup(first.deaths, 1)
    # As many rows more as may have to be left out.
    values = {'most': limit + len(running)}
    if suspects is not None:
        values['deaths'] = suspects.deaths
    candidates = _candidates(tuple(sorted(versions.items())), suspects is not None)
    predecessors = {
        row.task_id: row.owner
        for row in connection.execute(candidates, values)
        if row.task_id not in running
    }
    ids = list(predecessors)[:limit]
    if not ids:
        return []
    connection.execute(_CLAIM_ENTRIES, {'ids': ids, 'holder': holder, 'seconds': seconds})
    connection.execute(_SET_PROCESSING, {'ids': ids, 'at': utcnow()})
    rows = {row.task_id: row for row in connection.execute(_SELECT_ENTRIES, {'ids': ids})}
    claimed = Event(Kind.CLAIMED)
    db_events.insert(
        connection, [_told(rows[task_id], rows[task_id].last_event, claimed) for task_id in ids]
    )
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


def suspects(connection: sa.Connection) -> list[tuple[int, int]]:
    """TaskQueue.suspects() in a transaction."""
    return [(deaths, count) for deaths, count in connection.execute(_SELECT_SUSPECTS)]


def _count_deaths(connection: sa.Connection, running: collections.abc.Collection[str]) -> None:
    """Note for each lease that has expired that its holder died, once."""
    rows = [row for row in connection.execute(_SELECT_EXPIRED) if row.task_id not in running]
    if rows:
        connection.execute(_COUNT_DEATHS, {'ids': [row.task_id for row in rows]})
        db_events.insert(
            connection, [_told(row, row.last_event + 1, _expired(row.steps)) for row in rows]
        )


def _told(row: typing.Any, seq: int, event: Event) -> dict[str, typing.Any]:
    """The row of an event about the holder of an entry."""
    host, process = place_of(row.owner)
    holder = {'attempt': row.lease, 'host': host, 'process': process}
    return db_events.row(row.task_id, seq, event) | holder


def _expired(live: str | None) -> Event:
    """The event of an expired lease, whose run was last seen at work on these steps."""
    found = steps.at_work(live)
    detail = steps.moved(found[0]) if found else {}
    return Event(Kind.EXPIRED, found[0].name if found else None, detail)


def _first_suspect(
    versions: collections.abc.Mapping[str, int], running: collections.abc.Collection[str]
) -> sa.Select[tuple[int]]:
    """The deaths of one suspect that can run in this process, or runs in it."""
    waits = sa.and_(_FREE, _PAUSE_IS_OVER, _is_known(versions))
    return (
        sa.select(_c.deaths)
        .where(_IS_SUSPECT, sa.or_(waits, _c.task_id.in_(list(running))))
        .order_by(_c.deaths)
        .limit(1)
    )


@functools.cache  # to make a statement takes longer than to execute it
def _candidates(
    versions: tuple[tuple[str, int], ...], suspect: bool
) -> sa.Select[tuple[str, str | None]]:
    """The entries to claim, up to "most" of them, and who held them.

    suspect  those with so many "deaths" only, instead of those that are not suspect
    """
    wanted = (
        [_c.deaths == sa.bindparam('deaths'), _PAUSE_IS_OVER]
        if suspect
        else [sa.not_(_IS_SUSPECT)]
    )
    return (
        sa.select(_c.task_id, _c.owner)
        .where(_FREE, _is_known(dict(versions)), *wanted)
        .order_by(_c.priority.desc(), _c.posted_at, _c.task_id)
        .limit(sa.bindparam('most', type_=sa.Integer))
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
            failing = event_here(Kind.FAILING, message=UNREADABLE)
            db_events.record(connection, row.task_id, failing)
            entries.delete_logbook(connection, row.task_id)
    return Claim(
        lease=Lease(row.task_id, row.lease, PendingEvents(row.owner)),
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
        deaths=row.deaths,
        last_death=row.last_death,
        percent=row.progress,
    )


def _decode(text: str) -> dict[str, typing.Any] | None:
    """The work of an entry, or None if it is no JSON object."""
    try:
        work = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    return work if isinstance(work, dict) else None
