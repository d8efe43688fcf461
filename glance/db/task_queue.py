"""The queue of accepted tasks: claims, leases, outcomes, and the commit of an import."""

import dataclasses
import json
import types

import sqlalchemy as sa

from glance import interfaces
from glance.db import fence, image_repository, task_repository
from glance.db.models import leftovers, now, task_queue, tasks, utcnow
from glance.domain import errors
from glance.domain.entry import Claim, Held, Outcome
from glance.domain.lease import Lease, LostLease, Point
from glance.domain.task import Status

_c = task_queue.c

_FURTHER = sa.or_(
    _c.furthest_step > _c.begun_step,
    sa.and_(_c.furthest_step == _c.begun_step, _c.furthest_bytes > _c.begun_bytes),
)

# In this order: MySQL lets a later assignment see what an earlier one wrote.
_TAKE = (
    sa.update(task_queue)
    .where(_c.task_id.in_(sa.bindparam('ids', expanding=True)))
    .ordered_values(
        (
            _c.attempts,
            sa.case(
                (_c.owner.is_(None), _c.attempts),  # nobody died: it waited, or was handed back
                (_FURTHER, 0),
                else_=_c.attempts + 1,
            ),
        ),
        (_c.begun_step, _c.furthest_step),
        (_c.begun_bytes, _c.furthest_bytes),
        (_c.lease, _c.lease + 1),
        (_c.owner, sa.bindparam('by')),
        (_c.expires_at, now() + sa.bindparam('seconds')),
        (_c.touched, now()),
    )
)

_TAKEN = sa.select(task_queue).where(_c.task_id.in_(sa.bindparam('ids', expanding=True)))

_BEGIN = (
    sa.update(tasks)
    .where(tasks.c.id.in_(sa.bindparam('ids', expanding=True)), tasks.c.status == Status.PENDING)
    .values(status=Status.PROCESSING, updated_at=sa.bindparam('at'))
)

_RENEW = (
    sa.update(task_queue)
    .where(
        _c.task_id == sa.bindparam('t'),
        _c.lease == sa.bindparam('n'),
        _c.owner == sa.bindparam('by'),
    )
    .values(
        expires_at=now() + sa.bindparam('seconds'),
        furthest_step=sa.bindparam('s'),
        furthest_bytes=sa.bindparam('b'),
    )
)

_HELD = sa.select(_c.task_id, _c.lease, _c.cancel_requested).where(_c.owner == sa.bindparam('by'))

_FAIL = (
    sa.update(task_queue)
    .where(_c.task_id == sa.bindparam('t'), _c.outcome.is_(None))
    .values(outcome=Outcome.FAILURE, message=sa.bindparam('m'))
)

_STATE = sa.select(_c.outcome, _c.message, _c.cancel_requested).where(
    _c.task_id == sa.bindparam('t')
)

_IMAGE = sa.select(tasks.c.image_id).where(tasks.c.id == sa.bindparam('t'))

_NUMBER = sa.select(_c.lease).where(_c.task_id == sa.bindparam('t'))

_SUCCEED = (
    sa.update(task_queue).where(_c.task_id == sa.bindparam('t')).values(outcome=Outcome.SUCCESS)
)

_REMOVE = sa.delete(task_queue).where(_c.task_id == sa.bindparam('t'))

# The logbook of a task has its id; flow and atoms go with it (db/logbook.py).
_logbooks = sa.table('logbooks', sa.column('uuid', sa.String))
_FORGET = sa.delete(_logbooks).where(_logbooks.c.uuid == sa.bindparam('t'))
_REBASE = (
    sa.update(task_queue)
    .where(_c.task_id == sa.bindparam('t'))
    .values(flow_version=sa.bindparam('v'))
)

_LEFT = sa.select(leftovers.c.kind, leftovers.c.address, leftovers.c.store).where(
    leftovers.c.task_id == sa.bindparam('t')
)
_OWNER = sa.select(_c.owner).where(_c.task_id == sa.bindparam('t'))
_LEAVE = sa.insert(leftovers).values(recorded_at=now())


UNREADABLE = 'The entry of the task in the queue cannot be read; what it was to do is not known.'


# Nobody holds it, or the lease of whoever did ran out.
_WAITS = sa.or_(_c.expires_at.is_(None), _c.expires_at < now())


def _known(versions):
    """Whether an entry is of a type, and not above the version, that a process knows."""
    return sa.or_(
        sa.false(),
        *(
            sa.and_(_c.type == type_, _c.flow_version <= version)
            for type_, version in versions.items()
        ),
    )


def _mine(lease):
    return sa.and_(_c.task_id == lease.task_id, _c.lease == lease.number)


class SqlTaskQueue(interfaces.TaskQueue):
    """The queue as a table of the service's own database.

    time_to_live  hours an ended task can still be read
    """

    _activate = staticmethod(image_repository.activate)

    def __init__(self, database, *, time_to_live):
        self._database = database
        self._time_to_live = time_to_live

    def claim(self, owner, limit, *, seconds, versions, running=()):
        # One more row than wanted for each that may have to be left out below.
        candidates = (
            sa.select(_c.task_id, _c.owner)
            .where(_WAITS, _known(versions))
            .order_by(_c.priority.desc(), _c.posted_at, _c.task_id)
            .limit(limit + len(running))
            .with_for_update(skip_locked=True)
        )

        def take(connection):
            held_by = {
                row.task_id: row.owner
                for row in connection.execute(candidates)
                if row.task_id not in running
            }
            free = list(held_by)[:limit]
            if not free:
                return []
            connection.execute(_TAKE, {'ids': free, 'by': owner, 'seconds': seconds})
            connection.execute(_BEGIN, {'ids': free, 'at': utcnow()})
            rows = {row.task_id: row for row in connection.execute(_TAKEN, {'ids': free})}
            return [
                _claim(_readable(connection, rows[task_id]), held_by[task_id]) for task_id in free
            ]

        return self._database.write(take)

    def unclaimable(self, versions):
        statement = (
            sa.select(_c.type, _c.flow_version, sa.func.count())
            .where(_WAITS, sa.not_(_known(versions)))
            .group_by(_c.type, _c.flow_version)
            .order_by(_c.type, _c.flow_version)
        )
        rows = self._database.read(lambda connection: connection.execute(statement).all())
        return [tuple(row) for row in rows]

    def renew(self, owner, furthest, *, seconds):
        rows = [
            {
                't': lease.task_id,
                'n': lease.number,
                'by': owner,
                'seconds': seconds,
                's': point.step,
                'b': point.bytes,
            }
            for lease, point in furthest.items()
        ]
        if rows:
            self._database.write(lambda connection: connection.execute(_RENEW, rows))

    def held(self, owner):
        rows = self._database.read(
            lambda connection: connection.execute(_HELD, {'by': owner}).all()
        )
        return [Held(Lease(row.task_id, row.lease), row.cancel_requested) for row in rows]

    def release(self, lease, furthest, *, died=False):
        statement = (
            sa.update(task_queue)
            .where(_mine(lease))
            .values(
                furthest_step=furthest.step,
                furthest_bytes=furthest.bytes,
                **({'expires_at': 0} if died else {'owner': None, 'expires_at': None}),
            )
        )
        self._database.write(lambda connection: connection.execute(statement))

    def expire(self, owners):
        statement = (
            sa.update(task_queue)
            .where(_c.owner.in_(list(owners)), _c.expires_at > 0)
            .values(expires_at=0)
        )
        return self._database.write(lambda connection: connection.execute(statement).rowcount)

    def owners(self):
        statement = sa.select(_c.owner).where(_c.owner.is_not(None)).distinct()
        return self._database.read(lambda connection: list(connection.scalars(statement)))

    def fail(self, lease, message):
        def note(connection):
            connection.execute(_FAIL, {'t': lease.task_id, 'm': message})
            state = connection.execute(_STATE, {'t': lease.task_id}).one()
            return state.outcome, state.message or ''

        return fence.write(self._database, lease, note)

    def outcome(self, lease):
        row = fence.read(
            self._database,
            lambda connection: connection.execute(_STATE, {'t': lease.task_id}).one_or_none(),
        )
        if row is None:
            raise LostLease(str(lease))
        return row.outcome, row.message or ''

    def check(self, lease):
        number = fence.read(
            self._database, lambda connection: connection.scalar(_NUMBER, {'t': lease.task_id})
        )
        if number != lease.number:
            raise LostLease(str(lease))

    def forget(self, lease, flow_version):
        def begin_anew(connection):
            connection.execute(_FORGET, {'t': lease.task_id})
            connection.execute(_REBASE, {'t': lease.task_id, 'v': flow_version})

        fence.write(self._database, lease, begin_anew)

    def leave(self, lease, leftovers):
        wanted = [dataclasses.asdict(one) for one in dict.fromkeys(leftovers)]

        def record(connection):
            known = [dict(row._mapping) for row in connection.execute(_LEFT, {'t': lease.task_id})]
            fresh = [one for one in wanted if one not in known]
            if fresh:
                owner = connection.scalar(_OWNER, {'t': lease.task_id})
                rows = [one | {'task_id': lease.task_id, 'owner': owner} for one in fresh]
                connection.execute(_LEAVE, rows)

        fence.write(self._database, lease, record)

    def end(self, lease):
        def ending(connection):
            state = connection.execute(_STATE, {'t': lease.task_id}).one()
            if state.outcome == Outcome.FAILURE:
                task_repository.end(
                    connection,
                    lease.task_id,
                    Status.FAILURE,
                    message=state.message,
                    time_to_live=self._time_to_live,
                )
            connection.execute(_FORGET, {'t': lease.task_id})
            connection.execute(_REMOVE, {'t': lease.task_id})

        fence.write(self._database, lease, ending)

    def finish(self, lease, image_id, location, facts):
        def commit(connection):
            state = connection.execute(_STATE, {'t': lease.task_id}).one()
            if state.outcome == Outcome.SUCCESS:
                return
            if state.outcome == Outcome.FAILURE:
                raise errors.ImportFailed(state.message)
            if state.cancel_requested:
                raise errors.Cancelled
            self._activate(connection, image_id, lease, location, facts)
            task_repository.end(
                connection,
                lease.task_id,
                Status.SUCCESS,
                result={'image_id': image_id},
                time_to_live=self._time_to_live,
            )
            connection.execute(_SUCCEED, {'t': lease.task_id})

        fence.write(self._database, lease, commit)

    def cancel(self, task_id):
        statement = (
            sa.update(task_queue)
            .where(_c.task_id == task_id, _c.outcome.is_(None))
            .values(cancel_requested=True)
        )
        return self._database.write(lambda connection: connection.execute(statement).rowcount) > 0


def _readable(connection, row):
    """A row as dictionary, its work decoded; where that cannot be, the task has failed.

    Nothing may be raised here: other tasks are claimed by the same transaction.
    What such a task owns is found by its image, which discard() is given.
    """
    fields = dict(row._mapping)
    try:
        fields['work'] = json.loads(row.work)
        if not isinstance(fields['work'], dict):
            raise ValueError('It is no object.')
    except (ValueError, TypeError, RecursionError):
        image_id = connection.scalar(_IMAGE, {'t': row.task_id})
        fields['work'] = {'image_id': image_id} if image_id else {}
        if row.outcome is None:
            fields |= {'outcome': Outcome.FAILURE, 'message': UNREADABLE}
            connection.execute(_FAIL, {'t': row.task_id, 'm': UNREADABLE})
            connection.execute(_FORGET, {'t': row.task_id})
    return types.SimpleNamespace(**fields)


def _claim(row, predecessor):
    return Claim(
        lease=Lease(row.task_id, row.lease),
        type=row.type,
        flow_version=row.flow_version,
        work=row.work,
        attempts=row.attempts,
        furthest=Point(row.furthest_step, row.furthest_bytes),
        outcome=row.outcome,
        message=row.message or '',
        cancel_requested=row.cancel_requested,
        request_id=row.request_id,
        predecessor=predecessor,
    )
