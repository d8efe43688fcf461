"""Writes of a run that the database refuses."""

import pytest
import sqlalchemy as sa

from glance.db import fence
from glance.domain import errors
from glance.domain.lease import DatabaseGone, QueueBroke
from tests.contract.sql_queue import SqlQueue

TWICE = sa.text('INSERT INTO once VALUES (1)')
NOWHERE = sa.text('INSERT INTO nothing VALUES (1)')


@pytest.fixture
def queue(tmp_path):
    made = SqlQueue(f'sqlite:///{tmp_path}/glance.sqlite')
    made.database.write(
        lambda connection: connection.execute(sa.text('CREATE TABLE once AS SELECT 1 AS n'))
    )
    made.database.write(
        lambda connection: connection.execute(sa.text('CREATE UNIQUE INDEX one ON once (n)'))
    )
    yield made
    made.database.close()


@pytest.mark.parametrize(
    ('statement', 'kind'), [(TWICE, errors.WriteRefused), (NOWHERE, DatabaseGone)]
)
def test_a_run_is_dropped_by_an_outage_and_not_by_a_constraint(queue, statement, kind):
    queue.add('t1')
    [claim] = queue.claim('us', 1, seconds=30, versions={'test': 1})
    with pytest.raises(kind):
        fence.write(queue.database, claim.lease, lambda connection: connection.execute(statement))


def test_an_error_that_nobody_knows_drops_the_run_and_is_one_line(queue, caplog):
    queue.add('t1')
    [claim] = queue.claim('us', 1, seconds=30, versions={'test': 1})

    def wrong(connection):
        connection.exec_driver_sql('SELECT 1; SELECT 2')  # of two statements, none is executed

    with pytest.raises(QueueBroke):
        fence.write(queue.database, claim.lease, wrong)
    [line] = caplog.records
    assert line.exc_info is None
