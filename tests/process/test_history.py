"""The history that the checker reads tells what went wrong."""

import contextlib
import datetime

import pytest
import sqlalchemy as sa

from glance.db.models import images, task_queue, tasks
from tests import databases

from . import history

pytestmark = pytest.mark.on(*databases.KINDS)

NOW = datetime.datetime(2026, 1, 1)
IMAGE = sa.insert(images).values(
    id='i',
    status='importing',
    visibility='shared',
    created_by_task='t',
    created_at=NOW,
    updated_at=NOW,
)
POST = (
    sa.insert(tasks).values(
        id='t', type='import', status='pending', owner='us', created_at=NOW, updated_at=NOW
    ),
    sa.insert(task_queue).values(task_id='t', type='import', flow_version=1, work='', posted_at=1),
)


def claim(number, owner='one'):
    return sa.update(task_queue).values(lease=number, owner=owner, touched=number)


def status(value):
    return sa.update(tasks).where(tasks.c.id == 't').values(status=value)


def cancelled(second):
    return (
        sa.update(tasks).where(tasks.c.id == 't').values(cancelled_at=NOW.replace(second=second))
    )


TOUCH = sa.update(task_queue).values(touched=9)
OUTCOME = sa.update(task_queue).values(outcome='failure')
GONE = sa.delete(task_queue)
CLAIM = (claim(1), status('processing'))
END = (TOUCH, OUTCOME, status('failure'), GONE)

CANCEL = (cancelled(6),)
CANCEL_WITHOUT_PAUSE = sa.update(task_queue).values(touched=0.0)
# Another task, which is cancelled at once.
RETRY = (
    sa.insert(tasks).values(
        id='r',
        type='import',
        status='pending',
        owner='us',
        retry_of='t',
        created_at=NOW,
        updated_at=NOW,
    ),
    sa.insert(task_queue).values(task_id='r', type='import', flow_version=1, work='', posted_at=2),
    sa.update(tasks).where(tasks.c.id == 'r').values(status='failure'),
    sa.delete(task_queue).where(task_queue.c.task_id == 'r'),
)

# Transactions, and what is said of them.
STORIES = {
    'as it should be': ([POST, CLAIM, END], None),
    'taken over': ([POST, CLAIM, (claim(2, 'other'),), END], None),
    'two ends': ([POST, CLAIM, (*END, status('success'))], 'has 2 ends'),
    'no end': ([POST, CLAIM], 'has 0 ends'),
    'begun after its end': ([POST, CLAIM, END, (status('processing'),)], 'went on after its end'),
    'a claim not counted': ([POST, CLAIM, (claim(3),), END], 'not counted by one'),
    'two outcomes': (
        [POST, CLAIM, (TOUCH, sa.update(task_queue).values(outcome='success')), END],
        'not one outcome',
    ),
    'written after the entry': ([POST, CLAIM, END, (IMAGE,)], 'after the entry was gone'),
    'cancelled': ([POST, CLAIM, CANCEL, END], None),
    'cancelled and successful': (
        [POST, CLAIM, CANCEL, (TOUCH, OUTCOME, status('success'), GONE)],
        'a cancelled task has succeeded',
    ),
    'cancelled twice': ([POST, CLAIM, CANCEL, (cancelled(7),), END], 'was cancelled twice'),
    'retried': ([POST, CLAIM, END, RETRY], None),
    'retried before it had failed': ([POST, CLAIM, RETRY, END], 'had not failed was repeated'),
    'written without a fence': ([POST, (IMAGE,), CLAIM, END], 'a write without a fence'),
}


@pytest.fixture
def recording(database, recorded):
    engine = sa.create_engine(database, poolclass=sa.pool.NullPool)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(('transactions', 'wrong'), STORIES.values(), ids=STORIES)
def test_what_is_wrong_is_found(recording, transactions, wrong):
    for transaction in transactions:
        with recording.begin() as connection:
            for statement in transaction:
                connection.execute(statement)
    with (
        recording.connect() as connection,
        pytest.raises(AssertionError, match=wrong) if wrong else contextlib.nullcontext(),
    ):
        history.check(connection)


def test_one_who_writes_for_another_is_found(recording):
    """SQLite does not tell who writes."""
    if recording.dialect.name == 'sqlite':
        pytest.skip('It takes a server to tell who writes.')
    with recording.connect() as stale, recording.connect() as other:
        for connection, transaction in ((stale, POST), (stale, CLAIM), (other, [claim(2, 'o')])):
            for statement in transaction:
                connection.execute(statement)
            connection.commit()
        for statement in END:
            stale.execute(statement)
        stale.commit()
        with pytest.raises(AssertionError, match='wrote for'):
            history.check(other)


def test_one_who_cancels_writes_for_no_holder(recording):
    with recording.connect() as one, recording.connect() as other:
        for connection, transaction in (
            (one, POST),
            (one, CLAIM),
            (other, [claim(2, 'other')]),
            (one, (CANCEL_WITHOUT_PAUSE, *CANCEL)),
            (other, END),
        ):
            for statement in transaction:
                connection.execute(statement)
            connection.commit()
        history.check(other)
