"""The history of the tables."""

import pytest
import sqlalchemy as sa
from alembic import autogenerate, migration, script

from glance.db import logbook, migrations, models, sessions
from glance.domain import errors


@pytest.fixture
def empty(tmp_path):
    made = sessions.open_database(f'sqlite:///{tmp_path}/glance.sqlite')
    yield made
    made.close()


def execute(database, text):
    database.write(lambda connection: connection.execute(sa.text(text)))


def test_an_empty_database_is_brought_to_the_newest_version(empty):
    assert migrations.sync(empty.engine) is None
    assert migrations.version(empty.engine) == migrations.HEAD
    assert migrations.sync(empty.engine) == migrations.HEAD
    migrations.require_current(empty.engine)


def test_head_is_the_newest_migration():
    scripts = script.ScriptDirectory(str(migrations.SCRIPTS))
    assert scripts.get_heads() == [migrations.HEAD]


def test_the_migrations_make_what_the_models_say(empty):
    assert logbook  # its tables are TaskFlow's, in the same metadata
    migrations.sync(empty.engine)
    with empty.engine.connect() as connection:
        context = migration.MigrationContext.configure(
            connection, opts={'version_table': migrations.VERSION_TABLE}
        )
        assert autogenerate.compare_metadata(context, models.metadata) == []


def test_a_database_of_another_service_is_refused_untouched(empty):
    execute(empty, 'CREATE TABLE alembic_version (version_num VARCHAR(32))')
    execute(empty, "INSERT INTO alembic_version VALUES ('theirs')")
    for look in (migrations.sync, migrations.require_current, migrations.version):
        with pytest.raises(errors.ConfigError, match='another service'):
            look(empty.engine)
    assert sa.inspect(empty.engine).get_table_names() == ['alembic_version']


def test_a_newer_database_is_refused_with_both_versions(empty):
    migrations.sync(empty.engine)
    execute(empty, f"UPDATE {migrations.VERSION_TABLE} SET version_num = '9999'")
    for look in (migrations.sync, migrations.require_current):
        with pytest.raises(errors.ConfigError, match=f'9999.*{migrations.HEAD}'):
            look(empty.engine)


def test_check_says_which_command_to_run(empty):
    with pytest.raises(errors.ConfigError, match='glance-manage db sync'):
        migrations.require_current(empty.engine)
