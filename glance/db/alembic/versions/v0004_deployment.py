"""The id of this deployment, which its folders are marked with."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'


def upgrade() -> None:
    made = op.create_table(
        'deployment',
        sa.Column('id', sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint('id', name='pk_deployment'),
    )
    op.bulk_insert(made, [{'id': uuid.uuid4().hex}])
