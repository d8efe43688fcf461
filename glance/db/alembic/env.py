"""Runs the scripts of alembic, on the connection that glance/db/migrations.py passes."""

from alembic import context

from glance.db import models
from glance.db.migrations import VERSION_TABLE

context.configure(
    connection=context.config.attributes['connection'],
    target_metadata=models.metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
