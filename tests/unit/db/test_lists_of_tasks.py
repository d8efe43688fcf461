"""What a page of tasks costs does not depend on how many tasks there are."""

import pytest
import sqlalchemy as sa

from glance.db import migrations, sessions, task_repository
from glance.domain.listing import Listing


@pytest.mark.parametrize(
    ('filters', 'index'),
    [({}, 'ix_tasks_created_at_id'), ({'status': 'pending'}, 'ix_tasks_status_created_at')],
)
def test_a_page_follows_the_order_of_an_index(tmp_path, filters, index):
    database = sessions.open_database(f'sqlite:///{tmp_path}/glance.sqlite')
    asked = []
    try:
        migrations.sync(database.engine)

        @sa.event.listens_for(database.engine, 'before_cursor_execute')
        def note(_connection, _cursor, statement, parameters, *_more):
            asked.append((statement, parameters))

        repository = task_repository.SqlTaskRepository(database)
        assert repository.page(Listing(limit=1, filters=filters)) == []
        statement, parameters = asked[-1]
        rows = database.read(
            lambda connection: connection.exec_driver_sql(
                f'EXPLAIN QUERY PLAN {statement}', parameters
            ).all()
        )
    finally:
        database.close()
    steps = [row.detail for row in rows]
    assert index in steps[0]
    assert not [step for step in steps if 'ORDER BY' in step]
