"""What a claim costs does not depend on how many tasks wait."""

import sqlalchemy as sa

from glance.db import claims, migrations, sessions
from glance.domain.suspects import SUSPECT_DEATHS

VERSIONS = (('import', 1),)


def plan(connection, statement):
    text = statement.compile(connection, compile_kwargs={'literal_binds': True})
    rows = connection.execute(sa.text(f'EXPLAIN QUERY PLAN {text}')).all()
    return ' / '.join(row.detail for row in rows)


def test_claims_follow_the_order_of_an_index(tmp_path):
    database = sessions.open_database(f'sqlite:///{tmp_path}/glance.sqlite')
    try:
        migrations.sync(database.engine)

        def plans(connection):
            healthy, suspect = (claims._candidates(VERSIONS, kind) for kind in (False, True))
            return [
                plan(connection, healthy.params(most=16)),
                plan(connection, suspect.params(most=16, deaths=SUSPECT_DEATHS)),
                plan(connection, claims._SELECT_SUSPECTS),
                plan(connection, sa.select(claims._c.task_id).where(claims._EXPIRED)),
            ]

        healthy, suspect, counted, expired = database.read(plans)
    finally:
        database.close()
    assert healthy == 'SCAN task_queue USING INDEX ix_task_queue_next'
    assert 'ix_task_queue_deaths' in suspect
    assert 'ix_task_queue_deaths' in counted
    assert 'ix_task_queue_expires_at' in expired
