"""Who asked for the cancel of a task, when and why."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0008'
down_revision = '0006'

TABLE = 'tasks'


def upgrade() -> None:
    moment = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql')
    user = sa.String(64).with_variant(sa.String(64, collation='utf8mb4_bin'), 'mysql')
    op.add_column(TABLE, sa.Column('cancelled_at', moment))
    op.add_column(TABLE, sa.Column('cancelled_by', user))
    op.add_column(TABLE, sa.Column('cancel_reason', sa.Text))
