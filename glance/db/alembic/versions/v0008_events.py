"""The timeline of tasks, and how far they are."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0008'
down_revision = '0007'

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql')
LONG_TEXT = sa.Text().with_variant(sa.Text(length=2**24 - 1), 'mysql')


def name(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation='utf8mb4_bin'), 'mysql')


def upgrade() -> None:
    op.create_table(
        'task_events',
        sa.Column('task_id', name(36), primary_key=True),
        sa.Column('seq', sa.Integer, primary_key=True, autoincrement=False),
        sa.Column('at', TIME, nullable=False),
        sa.Column('kind', name(30), nullable=False),
        sa.Column('step', name(255)),
        sa.Column('attempt', sa.Integer),
        sa.Column('host', name(255)),
        sa.Column('process', name(255)),
        sa.Column('detail', LONG_TEXT),
        sqlite_with_rowid=False,
    )
    op.add_column('tasks', sa.Column('progress', sa.Integer))
    op.add_column(
        'task_queue', sa.Column('progress', sa.Integer, nullable=False, server_default='0')
    )
    op.add_column('task_queue', sa.Column('steps', LONG_TEXT))
    op.add_column(
        'task_queue', sa.Column('last_event', sa.Integer, nullable=False, server_default='0')
    )
