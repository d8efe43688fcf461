import pytest

from tests import databases


@pytest.fixture
def database(tmp_path, missing):
    """The URL of a database with its tables."""
    with databases.with_tables(databases.CHOSEN, tmp_path, missing) as url:
        yield url
