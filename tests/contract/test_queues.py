"""Does each queue keep the promises of TaskQueue?"""

import pytest

from glance.testing.contracts.queue import TaskQueueContract
from glance.testing.fakes.queue import FakeQueue
from tests import databases

from .sql_queue import SqlQueue


class TestFakeQueue(TaskQueueContract):
    def make_queue(self):
        return FakeQueue()


class SqlQueueContract(TaskQueueContract):
    kind = None

    @pytest.fixture(autouse=True)
    def _database(self, tmp_path, missing):
        with databases.fresh(self.kind, tmp_path, missing) as self._url:
            yield

    def make_queue(self):
        return SqlQueue(self._url)

    @pytest.fixture(autouse=True)
    def _close(self, _database, _set_up):
        yield
        self.queue.database.close()


class TestSqliteQueue(SqlQueueContract):
    kind = 'sqlite'


class TestPostgresqlQueue(SqlQueueContract):
    kind = 'postgresql'
