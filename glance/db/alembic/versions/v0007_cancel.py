"""Who asked for the cancel of a task, when and why."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0007'
down_revision = '0006'

TABLE = 'tasks'


def name(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation='utf8mb4_bin'), 'mysql')


def upgrade() -> None:
    moment = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql')
    op.add_column(TABLE, sa.Column('cancelled_at', moment))
    op.add_column(TABLE, sa.Column('cancelled_by', name(64)))
    op.add_column(TABLE, sa.Column('cancel_reason', name(1024)))
