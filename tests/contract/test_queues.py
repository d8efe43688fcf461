"""Does each queue keep the promises of TaskQueue?"""

import pytest

from glance.testing.contracts.queue import TaskQueueContract
from glance.testing.fakes.queue import FakeQueue

from .sql_queue import SqlQueue


class TestFakeQueue(TaskQueueContract):
    def make_queue(self):
        return FakeQueue()


class TestSqlQueue(TaskQueueContract):
    @pytest.fixture(autouse=True)
    def _url(self, database):
        self.url = database

    def make_queue(self):
        return SqlQueue(self.url)

    @pytest.fixture(autouse=True)
    def _close(self, _url, _set_up):
        yield
        self.queue.database.close()
