"""Lists of tasks by status are read in the order of an index."""

from alembic import op

revision = '0010'
down_revision = '0009'


def upgrade() -> None:
    op.create_index('ix_tasks_status_created_at', 'tasks', ['status', 'created_at', 'id'])
    op.drop_index('ix_tasks_status', 'tasks')
