"""Which worker is to do which step of a task."""

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'

LONG_TEXT = sa.Text().with_variant(sa.Text(length=2**24 - 1), 'mysql')


def upgrade() -> None:
    op.add_column('task_queue', sa.Column('sent', LONG_TEXT))
