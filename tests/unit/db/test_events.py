"""Events in the database: after lost answers, and told by whoever writes for a task."""

import datetime

import pytest
import sqlalchemy as sa

from glance.db import events, fence
from glance.db.models import task_events
from glance.domain import errors
from glance.domain.events import Kind, event_here
from glance.domain.lease import DatabaseGone, Progress
from tests.contract.sql_queue import SqlQueue


class ForgetfulQueue(SqlQueue):
    """A queue whose database does not answer a write, though it commits it."""

    def lose_one_answer(self):
        write = self.database.write

        def lose(function, **options):
            self.database.write = write
            write(function, **options)
            raise errors.DatabaseUnavailable

        self.database.write = lose


@pytest.fixture
def queue(tmp_path):
    made = ForgetfulQueue(f'sqlite:///{tmp_path}/glance.sqlite')
    made.add('t1')
    yield made
    made.database.close()


@pytest.fixture
def lease(queue):
    [claim] = queue.claim('us', 1, seconds=30, versions={'test': 1})
    return claim.lease


def kinds(queue):
    return [event.kind for event in queue.events_of('t1')]


def test_events_whose_answer_was_lost_are_not_written_twice(queue, lease):
    lease.events.tell(Kind.STEP_DONE, 'one')
    queue.lose_one_answer()
    with pytest.raises(DatabaseGone):
        queue.record_leftovers(lease, [])
    lease.events.tell(Kind.STEP_DONE, 'two')
    queue.record_leftovers(lease, [])
    told = [(event.seq, event.step) for event in queue.events_of('t1')]
    assert told == [(1, None), (2, None), (3, 'one'), (4, 'two')]
    queue.record_leftovers(lease, [])
    queue.release(lease, Progress())
    assert [event.seq for event in queue.events_of('t1')] == [1, 2, 3, 4, 5]


def test_events_of_a_write_that_was_rolled_back_are_written_by_the_next(queue, lease):
    lease.events.tell(Kind.STEP_DONE, 'one')

    def refused(connection):
        raise errors.ImageGone('i')

    with pytest.raises(errors.ImageGone):
        fence.write(queue.database, lease, refused)
    queue.record_leftovers(lease, [])
    assert [event.step for event in queue.events_of('t1') if event.step] == ['one']


def test_any_transaction_can_tell_an_event_of_a_task(queue, lease):
    def tell(connection):
        events.record(connection, 't1', event_here('task.asked', by='me'), event_here('task.so'))

    queue.database.write(tell)
    queue.fail(lease, 'so')
    assert kinds(queue)[2:] == ['task.asked', 'task.so', Kind.FAILING]
    assert [event.seq for event in queue.events_of('t1')] == [1, 2, 3, 4, 5]
    asked = queue.events_of('t1')[2]
    assert (asked.detail, asked.attempt) == ({'by': 'me'}, None)
    assert asked.host
    assert asked.process


def test_of_a_task_without_an_entry_nothing_is_told(queue):
    queue.database.write(lambda connection: events.record(connection, 't2', event_here('task.so')))
    rows = queue.database.read(
        lambda connection: connection.execute(sa.text('SELECT * FROM task_events')).all()
    )
    assert {row.task_id for row in rows} == {'t1'}


@pytest.mark.parametrize('stalled', [False, True])
def test_what_is_handed_back_leaves_no_statement_behind(queue, stalled):
    """The statements that count events are kept for ever, so there must be few of them."""
    kept = set()
    for bytes_done in range(1, 4):
        [claim] = queue.claim('us', 1, seconds=30, versions={'test': 1})
        queue.release(claim.lease, Progress(0, bytes_done), stalled=stalled)
        kept.add(events._returning.cache_info().currsize)
    assert len(kept) == 1


def test_each_column_of_an_event_is_written(queue):
    """The INSERT has a table of columns of its own; what is not in it would be lost."""
    written = {column.name: 1 for column in task_events.c if column.type.python_type is int}
    written |= {column.name: '1' for column in task_events.c if column.name not in written}
    written['at'] = '2026-11-28 04:50:28.262290'
    queue.database.write(lambda connection: events.insert(connection, [written]))
    [found] = queue.database.read(
        lambda connection: connection.execute(
            sa.select(task_events).where(task_events.c.task_id == '1')
        ).all()
    )
    assert found._mapping == written | {'at': datetime.datetime(2026, 11, 28, 4, 50, 28, 262290)}
