"""Deaths of the processes that run a task, and indexes for claims."""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'

TABLE = 'task_queue'


def name(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation='utf8mb4_bin'), 'mysql')


def upgrade() -> None:
    op.add_column(TABLE, sa.Column('deaths', sa.Integer, nullable=False, server_default='0'))
    op.add_column(TABLE, sa.Column('last_death', name(255)))
    op.drop_index('ix_task_queue_next', TABLE)
    op.create_index(
        'ix_task_queue_next', TABLE, [sa.text('priority DESC'), 'posted_at', 'task_id']
    )
    op.create_index('ix_task_queue_expires_at', TABLE, ['expires_at'])
    op.create_index('ix_task_queue_deaths', TABLE, ['deaths'])
