"""Leftovers: data that tasks could not remove, for the sweeper."""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'

LongText = sa.Text().with_variant(sa.Text(length=2**24 - 1), 'mysql')


def name(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation='utf8mb4_bin'), 'mysql')


def upgrade() -> None:
    op.create_table(
        'leftovers',
        sa.Column('id', sa.BigInteger().with_variant(sa.Integer, 'sqlite'), nullable=False),
        sa.Column('task_id', name(36), nullable=False),
        sa.Column('owner', name(255)),
        sa.Column('kind', name(30), nullable=False),
        sa.Column('store', name(255)),
        sa.Column('address', LongText, nullable=False),
        sa.Column('recorded_at', sa.Double, nullable=False),
        sa.PrimaryKeyConstraint('id', name='pk_leftovers'),
    )
    op.create_index('ix_leftovers_task_id', 'leftovers', ['task_id'])
