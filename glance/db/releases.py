"""The statements that give the entry of a run back to the queue.

Their parameters: entry, number (of the lease), got_step and got_bytes (how far any run
of the task has come), and count (of the events of this write).
"""

import sqlalchemy as sa

from glance.db import claims
from glance.db.models import task_queue

_c = task_queue.c

_GOT_STEP = sa.bindparam('got_step', type_=_c.furthest_step.type)
_GOT_BYTES = sa.bindparam('got_bytes', type_=_c.furthest_bytes.type)
_IS_FURTHER = claims.got_further(_GOT_STEP, _GOT_BYTES)

_RELEASE = (
    sa.update(task_queue)
    .where(_c.task_id == sa.bindparam('entry'), _c.lease == sa.bindparam('number'))
    .values(
        deaths=sa.case((_IS_FURTHER, 0), else_=_c.deaths),
        furthest_step=_GOT_STEP,
        furthest_bytes=_GOT_BYTES,
        steps=None,
        last_event=_c.last_event + sa.bindparam('count'),
    )
)

_HAND_BACK = _RELEASE.values(
    attempts=sa.case((_IS_FURTHER, 0), else_=_c.attempts), owner=None, expires_at=None
)

# The holder stays known, because the run may still write to its files. A second call counts
# nothing.
_GIVE_UP = _RELEASE.where(claims.IS_HELD).values(
    attempts=sa.case((_IS_FURTHER, 0), else_=_c.attempts + 1), expires_at=claims.COUNTED
)

# The holder stays known here, too; the next claim counts the death.
_REPORT_DEATH = _RELEASE.where(claims.IS_HELD).values(
    attempts=sa.case((_IS_FURTHER, 0), else_=_c.attempts), expires_at=0
)


def statement(*, stalled: bool, died: bool) -> sa.Update:
    """How TaskQueue.release() writes; see there."""
    if died:
        return _REPORT_DEATH
    return _GIVE_UP if stalled else _HAND_BACK
