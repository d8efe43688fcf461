"""Renewing leases: one statement for many runs of a process, however many have changed."""

import collections.abc
import contextlib
import functools
import json
import typing

import sqlalchemy as sa

from glance.db import events as db_events
from glance.db import json_rows
from glance.db.models import now, task_queue
from glance.db.sessions import Database
from glance.domain.lease import Lease
from glance.domain.steps import RunReport

_c = task_queue.c

_FIELDS: dict[str, json_rows.Kind] = {
    'task_id': 'id',
    'lease': 'integer',
    'told': 'integer',
    'step': 'integer',
    'bytes': 'integer',
    'percent': 'integer',
    'steps': 'text',
}

# Leases are renewed so many at a time: a transaction must not hold many entries for long.
AT_ONCE = 50

# The entries among these that no transaction of a run has locked.
_LOCK_UNLOCKED = (
    sa.select(_c.task_id)
    .where(_c.task_id.in_(sa.bindparam('ids', expanding=True)), _c.owner == sa.bindparam('holder'))
    .with_for_update(skip_locked=True)
)
_SELECT_LAST_EVENTS = sa.select(_c.task_id, _c.lease, _c.last_event).where(
    _c.task_id.in_(sa.bindparam('ids', expanding=True)), _c.owner == sa.bindparam('holder')
)


# MariaDB likes to read all entries of the holder first, and then waits for those that are locked.
# STRAIGHT_JOIN, which SQLAlchemy cannot write, makes it look up each entry by its key.
_RENEW_MYSQL = sa.text(f"""
    UPDATE ({json_rows.select('mysql', _FIELDS)}) AS renewed
      STRAIGHT_JOIN task_queue AS entry
        ON entry.task_id = renewed.task_id AND entry.lease = renewed.lease
       AND entry.owner = :holder
       SET entry.expires_at = unix_timestamp(sysdate(6)) + :seconds,
           entry.last_event = entry.last_event + renewed.told,
           entry.furthest_step = coalesce(renewed.step, entry.furthest_step),
           entry.furthest_bytes = coalesce(renewed.bytes, entry.furthest_bytes),
           entry.progress = coalesce(renewed.percent, entry.progress),
           entry.steps = coalesce(renewed.steps, entry.steps)
    """)


@functools.cache
def _renew(dialect: str) -> sa.Executable:
    """The statement that renews leases of "holder" and sets what has changed; null: nothing."""
    if dialect == 'mysql':
        return _RENEW_MYSQL
    rows = (
        sa.text(json_rows.select(dialect, _FIELDS))
        .columns(*map(sa.column, _FIELDS))
        .subquery('renewed')
    )
    new = rows.c
    # SQLite would search the entries by an index of their owner, and read all rows for each.
    owner = sa.func.coalesce(_c.owner, '')
    return (
        sa.update(task_queue)
        .where(_c.task_id == new.task_id, _c.lease == new.lease, owner == sa.bindparam('holder'))
        .values(
            expires_at=now() + sa.bindparam('seconds'),
            last_event=_c.last_event + new.told,
            furthest_step=sa.func.coalesce(new.step, _c.furthest_step),
            furthest_bytes=sa.func.coalesce(new.bytes, _c.furthest_bytes),
            progress=sa.func.coalesce(new.percent, _c.progress),
            steps=sa.func.coalesce(new.steps, _c.steps),
        )
    )


def renew(
    database: Database,
    holder: str,
    reports: collections.abc.Mapping[Lease, RunReport | None],
    *,
    seconds: float,
) -> None:
    """TaskQueue.renew(), and write the events of these runs that wait for a write.

    A run that waits for a table locks its entry; it must not cost the others their leases.
    """
    leases = list(reports)
    if database.dialect == 'sqlite':  # locks no rows, and each commit costs a sync
        if leases:
            _renew_some(database, holder, reports, seconds)
        return
    for _attempt in range(2):  # most transactions have ended when the skipped are tried again
        pieces = [leases[n : n + AT_ONCE] for n in range(0, len(leases), AT_ONCE)]
        leases = [
            lease
            for piece in pieces
            for lease in _renew_some(
                database, holder, {one: reports[one] for one in piece}, seconds
            )
        ]


def _renew_some(
    database: Database,
    holder: str,
    reports: collections.abc.Mapping[Lease, RunReport | None],
    seconds: float,
) -> list[Lease]:
    """Renew leases in one transaction. Returns those whose entries are locked or not held."""
    names = {'ids': [lease.task_id for lease in reports], 'holder': holder}
    with contextlib.ExitStack() as stack:
        told = {
            lease: stack.enter_context(db_events.told(lease, everything=report is not None))
            for lease, report in reports.items()
        }

        def write(connection: sa.Connection) -> list[Lease]:
            skipped: list[Lease] = []
            if database.dialect != 'sqlite':
                unlocked = set(connection.scalars(_LOCK_UNLOCKED, names))
                skipped = [lease for lease in reports if lease.task_id not in unlocked]
            renewed = [lease for lease in reports if lease not in skipped]
            if not renewed:
                return skipped
            rows = [_row(lease, reports[lease], len(told[lease])) for lease in renewed]
            values = {'rows': json.dumps(rows), 'holder': holder, 'seconds': seconds}
            connection.execute(_renew(database.dialect), values)
            if any(told[lease] for lease in renewed):  # their entries are locked now
                found = connection.execute(_SELECT_LAST_EVENTS, names)
                last = {Lease(row.task_id, row.lease): row.last_event for row in found}
                db_events.insert(
                    connection,
                    [
                        row
                        for lease in renewed
                        if told[lease] and lease in last
                        for row in told[lease].rows(connection, last[lease])
                    ],
                )
            return skipped

        skipped = database.write(write)
    for lease in skipped:
        lease.events.put_back(told[lease].events)
    return skipped


def _row(lease: Lease, report: RunReport | None, told: int) -> dict[str, typing.Any]:
    row: dict[str, typing.Any] = {'task_id': lease.task_id, 'lease': lease.number, 'told': told}
    if report is not None:
        row |= {
            'step': report.best.step,
            'bytes': report.best.bytes,
            'percent': report.percent,
            'steps': report.steps,
        }
    return row
