"""The scripts that alembic runs; glance/db/migrations.py calls it."""
