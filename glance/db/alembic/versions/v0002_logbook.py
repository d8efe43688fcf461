"""TaskFlow's tables, which record the steps of a running task that have ended."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0002'
down_revision = '0001'

Json = sa.UnicodeText().with_variant(postgresql.JSON(), 'postgresql')


def upgrade() -> None:
    op.create_table(
        'logbooks',
        sa.Column('created_at', sa.DateTime),
        sa.Column('updated_at', sa.DateTime),
        sa.Column('meta', Json),
        sa.Column('name', sa.String(255)),
        sa.Column('uuid', sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint('uuid', name='pk_logbooks'),
        sa.UniqueConstraint('uuid', name='uq_logbooks_uuid'),
    )
    op.create_table(
        'flowdetails',
        sa.Column('created_at', sa.DateTime),
        sa.Column('updated_at', sa.DateTime),
        sa.Column('parent_uuid', sa.String(64)),
        sa.Column('meta', Json),
        sa.Column('name', sa.String(255)),
        sa.Column('state', sa.String(255)),
        sa.Column('uuid', sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint('uuid', name='pk_flowdetails'),
        sa.UniqueConstraint('uuid', name='uq_flowdetails_uuid'),
        sa.ForeignKeyConstraint(
            ['parent_uuid'],
            ['logbooks.uuid'],
            name='fk_flowdetails_parent_uuid',
            ondelete='CASCADE',
        ),
    )
    op.create_index('ix_flowdetails_parent_uuid', 'flowdetails', ['parent_uuid'])
    op.create_table(
        'atomdetails',
        sa.Column('created_at', sa.DateTime),
        sa.Column('updated_at', sa.DateTime),
        sa.Column('meta', Json),
        sa.Column('parent_uuid', sa.String(64)),
        sa.Column('name', sa.String(255)),
        sa.Column('version', sa.String(64)),
        sa.Column('state', sa.String(255)),
        sa.Column('uuid', sa.String(64), nullable=False),
        sa.Column('failure', Json),
        sa.Column('results', Json),
        sa.Column('revert_results', Json),
        sa.Column('revert_failure', Json),
        sa.Column('atom_type', sa.Enum('TASK_DETAIL', 'RETRY_DETAIL', name='atom_types')),
        sa.Column('intention', sa.Enum('EXECUTE', 'IGNORE', 'REVERT', 'RETRY', name='intentions')),
        sa.PrimaryKeyConstraint('uuid', name='pk_atomdetails'),
        sa.UniqueConstraint('uuid', name='uq_atomdetails_uuid'),
        sa.ForeignKeyConstraint(
            ['parent_uuid'],
            ['flowdetails.uuid'],
            name='fk_atomdetails_parent_uuid',
            ondelete='CASCADE',
        ),
    )
    op.create_index('ix_atomdetails_parent_uuid', 'atomdetails', ['parent_uuid'])
