"""Tasks, their queue, and images."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0001'
down_revision = None

LongText = sa.Text().with_variant(sa.Text(length=2**24 - 1), 'mysql')
Time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql')


def name(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation='utf8mb4_bin'), 'mysql')


def upgrade() -> None:
    op.create_table(
        'tasks',
        sa.Column('id', name(36), nullable=False),
        sa.Column('type', name(30), nullable=False),
        sa.Column('status', name(30), nullable=False),
        sa.Column('owner', name(255), nullable=False),
        sa.Column('expires_at', Time),
        sa.Column('image_id', name(36)),
        sa.Column('request_id', name(64)),
        sa.Column('user_id', name(64)),
        sa.Column('created_at', Time, nullable=False),
        sa.Column('updated_at', Time, nullable=False),
        sa.Column('deleted_at', Time),
        sa.Column('deleted', sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint('id', name='pk_tasks'),
    )
    op.create_index('ix_tasks_created_at_id', 'tasks', ['created_at', 'id'])
    op.create_index('ix_tasks_owner_created_at', 'tasks', ['owner', 'created_at', 'id'])
    op.create_index('ix_tasks_status', 'tasks', ['status'])
    op.create_index('ix_tasks_image_id', 'tasks', ['image_id'])
    op.create_index('ix_tasks_expires_at', 'tasks', ['expires_at'])
    op.create_table(
        'task_info',
        sa.Column('task_id', name(36), nullable=False),
        sa.Column('input', LongText),
        sa.Column('result', LongText),
        sa.Column('message', LongText),
        sa.PrimaryKeyConstraint('task_id', name='pk_task_info'),
        sa.ForeignKeyConstraint(['task_id'], ['tasks.id'], name='fk_task_info_task_id'),
    )
    op.create_table(
        'task_queue',
        sa.Column('task_id', name(36), nullable=False),
        sa.Column('type', name(30), nullable=False),
        sa.Column('flow_version', sa.Integer, nullable=False),
        sa.Column('work', LongText, nullable=False),
        sa.Column('request_id', name(64)),
        sa.Column('priority', sa.Integer, nullable=False),
        sa.Column('posted_at', sa.Double, nullable=False),
        sa.Column('lease', sa.Integer, nullable=False),
        sa.Column('owner', name(255)),
        sa.Column('expires_at', sa.Double),
        sa.Column('touched', sa.Double),
        sa.Column('attempts', sa.Integer, nullable=False),
        sa.Column('furthest_step', sa.Integer, nullable=False),
        sa.Column('furthest_bytes', sa.BigInteger, nullable=False),
        sa.Column('begun_step', sa.Integer, nullable=False),
        sa.Column('begun_bytes', sa.BigInteger, nullable=False),
        sa.Column('outcome', name(30)),
        sa.Column('message', LongText),
        sa.Column('cancel_requested', sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint('task_id', name='pk_task_queue'),
    )
    op.create_index('ix_task_queue_next', 'task_queue', ['priority', 'posted_at', 'task_id'])
    op.create_index('ix_task_queue_owner', 'task_queue', ['owner'])
    op.create_table(
        'images',
        sa.Column('id', name(36), nullable=False),
        sa.Column('name', name(255)),
        sa.Column('status', name(30), nullable=False),
        sa.Column('visibility', name(30), nullable=False),
        sa.Column('owner', name(255)),
        sa.Column('protected', sa.Boolean, nullable=False),
        sa.Column('os_hidden', sa.Boolean, nullable=False),
        sa.Column('disk_format', name(20)),
        sa.Column('container_format', name(20)),
        sa.Column('min_disk', sa.Integer, nullable=False),
        sa.Column('min_ram', sa.Integer, nullable=False),
        sa.Column('size', sa.BigInteger),
        sa.Column('virtual_size', sa.BigInteger),
        sa.Column('checksum', name(32)),
        sa.Column('os_hash_algo', name(64)),
        sa.Column('os_hash_value', name(128)),
        sa.Column('created_by_task', name(36)),
        sa.Column('created_at', Time, nullable=False),
        sa.Column('updated_at', Time, nullable=False),
        sa.Column('deleted_at', Time),
        sa.Column('deleted', sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint('id', name='pk_images'),
    )
    op.create_index('ix_images_created_at_id', 'images', ['created_at', 'id'])
    op.create_index('ix_images_owner_created_at', 'images', ['owner', 'created_at', 'id'])
    op.create_index('ix_images_created_by_task', 'images', ['created_by_task'])
    op.create_table(
        'image_properties',
        sa.Column('image_id', name(36), nullable=False),
        sa.Column('name', name(255), nullable=False),
        sa.Column('value', LongText, nullable=False),
        sa.PrimaryKeyConstraint('image_id', 'name', name='pk_image_properties'),
        sa.ForeignKeyConstraint(['image_id'], ['images.id'], name='fk_image_properties_image_id'),
    )
    op.create_table(
        'image_tags',
        sa.Column('image_id', name(36), nullable=False),
        sa.Column('value', name(255), nullable=False),
        sa.PrimaryKeyConstraint('image_id', 'value', name='pk_image_tags'),
        sa.ForeignKeyConstraint(['image_id'], ['images.id'], name='fk_image_tags_image_id'),
    )
    op.create_table(
        'image_locations',
        sa.Column('id', sa.BigInteger().with_variant(sa.Integer, 'sqlite'), nullable=False),
        sa.Column('image_id', name(36), nullable=False),
        sa.Column('store', name(255), nullable=False),
        sa.Column('value', LongText, nullable=False),
        sa.Column('status', name(30), nullable=False),
        sa.Column('created_at', Time, nullable=False),
        sa.PrimaryKeyConstraint('id', name='pk_image_locations'),
        sa.ForeignKeyConstraint(['image_id'], ['images.id'], name='fk_image_locations_image_id'),
    )
    op.create_index('ix_image_locations_image_id', 'image_locations', ['image_id'])
    op.create_index('ix_image_locations_status', 'image_locations', ['status'])
