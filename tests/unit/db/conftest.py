"""A fresh SQLite database for each test."""

import pytest

from glance.db import migrations, sessions


@pytest.fixture
def database(tmp_path):
    made = sessions.open_database(f'sqlite:///{tmp_path}/glance.sqlite')
    migrations.sync(made.engine)
    yield made
    made.close()
