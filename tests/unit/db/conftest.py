"""A fresh SQLite database for each test."""

import pytest

from glance.db import sessions
from tests import databases


@pytest.fixture
def database(tmp_path, missing):
    with databases.with_tables('sqlite', tmp_path, missing) as url:
        made = sessions.open_database(url)
        yield made
        made.close()
