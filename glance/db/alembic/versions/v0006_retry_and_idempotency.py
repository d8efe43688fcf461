"""Which task a task repeats, and the keys of requests that may be sent again."""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'


def name(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation='utf8mb4_bin'), 'mysql')


def upgrade() -> None:
    op.add_column('tasks', sa.Column('retry_of', name(36)))
    op.create_table(
        'idempotency_keys',
        sa.Column('owner', name(255), nullable=False),
        sa.Column('text', name(255), nullable=False),
        sa.Column('fingerprint', sa.String(64), nullable=False),
        sa.Column('task_id', name(36), nullable=False),
        sa.Column('recorded_at', sa.Double, nullable=False),
        sa.PrimaryKeyConstraint('owner', 'text', name='pk_idempotency_keys'),
    )
    op.create_index('ix_idempotency_keys_task_id', 'idempotency_keys', ['task_id'])
    op.create_index('ix_idempotency_keys_recorded_at', 'idempotency_keys', ['recorded_at'])
