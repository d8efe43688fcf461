"""The tables. Other tools read the columns of tasks, task_info and image_*."""

import datetime
import typing

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.ext import compiler
from sqlalchemy.sql import expression

metadata = sa.MetaData(
    naming_convention={
        'ix': 'ix_%(table_name)s_%(column_0_N_name)s',
        'uq': 'uq_%(table_name)s_%(column_0_N_name)s',
        'fk': 'fk_%(table_name)s_%(column_0_N_name)s',
        'pk': 'pk_%(table_name)s',
    }
)

# A TEXT of MySQL has 64 KiB at most. The input of a task can be larger.
LongText = sa.Text().with_variant(sa.Text(length=2**24 - 1), 'mysql')
# A DATETIME of MySQL has whole seconds by default. The order of pages needs microseconds.
Time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql')
# With this collation MySQL compares ids, names and URLs by case, as other databases do.
_CASE_SENSITIVE = 'utf8mb4_bin'


def Name(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation=_CASE_SENSITIVE), 'mysql')


tasks = sa.Table(
    'tasks',
    metadata,
    sa.Column('id', Name(36), primary_key=True),
    sa.Column('type', Name(30), nullable=False),
    sa.Column('status', Name(30), nullable=False),
    sa.Column('owner', Name(255), nullable=False),
    sa.Column('expires_at', Time),
    sa.Column('image_id', Name(36)),
    sa.Column('request_id', Name(64)),
    sa.Column('user_id', Name(64)),
    sa.Column('created_at', Time, nullable=False),
    sa.Column('updated_at', Time, nullable=False),
    sa.Column('deleted_at', Time),
    sa.Column('deleted', sa.Boolean, nullable=False, default=False),
    sa.Column('retry_of', Name(36)),
    sa.Column('cancelled_at', Time),
    sa.Column('cancelled_by', Name(64)),
    sa.Column('cancel_reason', Name(1024)),
    sa.Column('progress', sa.Integer),  # percent, once the task has ended
    sa.Index('ix_tasks_created_at_id', 'created_at', 'id'),
    sa.Index('ix_tasks_owner_created_at', 'owner', 'created_at', 'id'),
    sa.Index('ix_tasks_status_created_at', 'status', 'created_at', 'id'),
    sa.Index('ix_tasks_image_id', 'image_id'),
    sa.Index('ix_tasks_expires_at', 'expires_at'),
)

task_info = sa.Table(
    'task_info',
    metadata,
    sa.Column('task_id', Name(36), sa.ForeignKey('tasks.id'), primary_key=True),
    sa.Column('input', LongText),
    sa.Column('result', LongText),
    sa.Column('message', LongText),
)

# One row per task that was posted with a key, until the task is removed or the key is too old.
# owner is the project of the caller; an administrator may create tasks of others.
idempotency_keys = sa.Table(
    'idempotency_keys',
    metadata,
    sa.Column('owner', Name(255), primary_key=True),
    sa.Column('text', Name(255), primary_key=True),
    sa.Column('fingerprint', sa.String(64), nullable=False),
    sa.Column('task_id', Name(36), nullable=False),
    sa.Column('recorded_at', sa.Double, nullable=False),
    sa.Index('ix_idempotency_keys_task_id', 'task_id'),
    sa.Index('ix_idempotency_keys_recorded_at', 'recorded_at'),
)

# One row per task that has not ended, or has ended and is not cleaned up. owner is the process
# that holds the lease. Times are seconds since 1970 by the clock of the database, because
# they are compared with it.
task_queue = sa.Table(
    'task_queue',
    metadata,
    sa.Column('task_id', Name(36), primary_key=True),
    sa.Column('type', Name(30), nullable=False),
    sa.Column('flow_version', sa.Integer, nullable=False),
    sa.Column('work', LongText, nullable=False),
    sa.Column('request_id', Name(64)),
    sa.Column('priority', sa.Integer, nullable=False, default=0),
    sa.Column('posted_at', sa.Double, nullable=False),
    sa.Column('lease', sa.Integer, nullable=False, default=0),
    sa.Column('owner', Name(255)),
    sa.Column('expires_at', sa.Double),
    sa.Column('touched', sa.Double),
    sa.Column('attempts', sa.Integer, nullable=False, default=0),
    sa.Column('furthest_step', sa.Integer, nullable=False, default=0),
    sa.Column('furthest_bytes', sa.BigInteger, nullable=False, default=0),
    # the best progress at the time of the present claim
    sa.Column('begun_step', sa.Integer, nullable=False, default=0),
    sa.Column('begun_bytes', sa.BigInteger, nullable=False, default=0),
    # how often in a row its process died, and how it last died of this task
    sa.Column('deaths', sa.Integer, nullable=False, default=0),
    sa.Column('last_death', Name(255)),
    sa.Column('outcome', Name(30)),
    sa.Column('message', LongText),
    sa.Column('cancel_requested', sa.Boolean, nullable=False, default=False),
    # for those who look at the task: how many percent, and the steps at work (JSON)
    sa.Column('progress', sa.Integer, nullable=False, default=0),
    sa.Column('steps', LongText),
    # which worker is to do which step (JSON: glance.domain.sent_steps)
    sa.Column('sent', LongText),
    # the number of the last event
    sa.Column('last_event', sa.Integer, nullable=False, default=0),
    sa.Index('ix_task_queue_owner', 'owner'),
    sa.Index('ix_task_queue_expires_at', 'expires_at'),
    sa.Index('ix_task_queue_deaths', 'deaths'),
)
# The order of claims: without DESC, a claim would sort all that waits.
sa.Index(
    'ix_task_queue_next',
    task_queue.c.priority.desc(),
    task_queue.c.posted_at,
    task_queue.c.task_id,
)

# The timeline of each task. A number is given while the row of the entry is locked.
task_events = sa.Table(
    'task_events',
    metadata,
    sa.Column('task_id', Name(36), primary_key=True),
    sa.Column('seq', sa.Integer, primary_key=True, autoincrement=False),
    sa.Column('at', Time, nullable=False),
    sa.Column('kind', Name(30), nullable=False),
    sa.Column('step', Name(255)),
    sa.Column('attempt', sa.Integer),  # the number of the lease
    sa.Column('host', Name(255)),
    sa.Column('process', Name(255)),
    sa.Column('detail', LongText),  # JSON
    sqlite_with_rowid=False,
)

images = sa.Table(
    'images',
    metadata,
    sa.Column('id', Name(36), primary_key=True),
    sa.Column('name', Name(255)),
    sa.Column('status', Name(30), nullable=False),
    sa.Column('visibility', Name(30), nullable=False),
    sa.Column('owner', Name(255)),
    sa.Column('protected', sa.Boolean, nullable=False, default=False),
    sa.Column('os_hidden', sa.Boolean, nullable=False, default=False),
    sa.Column('disk_format', Name(20)),
    sa.Column('container_format', Name(20)),
    sa.Column('min_disk', sa.Integer, nullable=False, default=0),
    sa.Column('min_ram', sa.Integer, nullable=False, default=0),
    sa.Column('size', sa.BigInteger),
    sa.Column('virtual_size', sa.BigInteger),
    sa.Column('checksum', Name(32)),
    sa.Column('os_hash_algo', Name(64)),
    sa.Column('os_hash_value', Name(128)),
    sa.Column('created_by_task', Name(36)),
    sa.Column('created_at', Time, nullable=False),
    sa.Column('updated_at', Time, nullable=False),
    sa.Column('deleted_at', Time),
    sa.Column('deleted', sa.Boolean, nullable=False, default=False),
    sa.Index('ix_images_created_at_id', 'created_at', 'id'),
    sa.Index('ix_images_owner_created_at', 'owner', 'created_at', 'id'),
    sa.Index('ix_images_created_by_task', 'created_by_task'),
)

image_properties = sa.Table(
    'image_properties',
    metadata,
    sa.Column('image_id', Name(36), sa.ForeignKey('images.id'), primary_key=True),
    sa.Column('name', Name(255), primary_key=True),
    sa.Column('value', LongText, nullable=False),
)

image_tags = sa.Table(
    'image_tags',
    metadata,
    sa.Column('image_id', Name(36), sa.ForeignKey('images.id'), primary_key=True),
    sa.Column('value', Name(255), primary_key=True),
)

image_locations = sa.Table(
    'image_locations',
    metadata,
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer, 'sqlite'), primary_key=True),
    sa.Column('image_id', Name(36), sa.ForeignKey('images.id'), nullable=False),
    sa.Column('store', Name(255), nullable=False),
    sa.Column('value', LongText, nullable=False),
    sa.Column('status', Name(30), nullable=False),
    sa.Column('created_at', Time, nullable=False),
    sa.Index('ix_image_locations_image_id', 'image_id'),
    sa.Index('ix_image_locations_status', 'status'),
)

# Data that a task could not remove when it ended. The fence of the task guards the writes, so
# each leftover has one row.
leftovers = sa.Table(
    'leftovers',
    metadata,
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer, 'sqlite'), primary_key=True),
    sa.Column('task_id', Name(36), nullable=False),
    sa.Column('owner', Name(255)),  # the process that could not remove it; begins with the host
    sa.Column('kind', Name(30), nullable=False),
    sa.Column('store', Name(255)),
    sa.Column('address', LongText, nullable=False),
    sa.Column('recorded_at', sa.Double, nullable=False),
    sa.Index('ix_leftovers_task_id', 'task_id'),
)

# One row, made with the table: the id that the folders of this deployment are marked with.
deployment = sa.Table('deployment', metadata, sa.Column('id', sa.String(32), primary_key=True))


class now(expression.FunctionElement[float]):
    """The clock of the database: seconds since 1970, with fractions."""

    type: sa.types.TypeEngine[float] = sa.Double()
    inherit_cache = True


@compiler.compiles(now, 'sqlite')
def _now_sqlite(element: now, compiled: typing.Any, **_kw: typing.Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiler.compiles(now, 'postgresql')
def _now_postgresql(element: now, compiled: typing.Any, **_kw: typing.Any) -> str:
    return 'extract(epoch from clock_timestamp())'


@compiler.compiles(now, 'mysql')
def _now_mysql(element: now, compiled: typing.Any, **_kw: typing.Any) -> str:
    return 'unix_timestamp(sysdate(6))'


def utcnow() -> datetime.datetime:
    """The present time for columns such as created_at: naive, in UTC."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def naive(time: datetime.datetime) -> datetime.datetime:
    """An aware time as the tables have it: naive, in UTC."""
    return time.astimezone(datetime.UTC).replace(tzinfo=None)


@typing.overload
def aware(time: datetime.datetime) -> datetime.datetime: ...
@typing.overload
def aware(time: None) -> None: ...
def aware(time: datetime.datetime | None) -> datetime.datetime | None:
    """A time of the tables as the rest of the service has it: aware, in UTC."""
    return None if time is None else time.replace(tzinfo=datetime.UTC)
