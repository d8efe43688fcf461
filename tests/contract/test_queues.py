"""Does each queue keep the promises of TaskQueue?"""

import datetime

import pytest

from glance.db import migrations, sessions, task_queue, task_repository
from glance.domain.entry import Entry
from glance.domain.task import Status, Task
from glance.testing.contracts import TaskQueueContract
from glance.testing.fakes import FakeQueue
from tests import databases

from . import sql_queue


class TestFakeQueue(TaskQueueContract):
    @pytest.fixture(autouse=True)
    def _make(self):
        self.queue = FakeQueue()

    def add(self, task_id, *, priority=0, version=1):
        self.queue.add(task_id, priority=priority, version=version)

    def status_of(self, task_id):
        return self.queue.tasks[task_id]

    def left(self, task_id):
        return self.queue.left(task_id)


class SqlQueueContract(TaskQueueContract):
    kind = None

    @pytest.fixture(autouse=True)
    def _make(self, tmp_path, missing):
        with databases.fresh(self.kind, tmp_path, missing) as url:
            yield from self._on(url)

    def _on(self, url):
        database = sessions.open_database(url)
        migrations.sync(database.engine)
        self.queue = task_queue.SqlTaskQueue(database, time_to_live=48)
        self.tasks = task_repository.SqlTaskRepository(database)
        self._database = database
        yield
        database.close()

    def add(self, task_id, *, priority=0, version=1):
        at = datetime.datetime.now(datetime.UTC)
        self.tasks.add(
            Task(task_id, 'test', 'a-project', {}, at, at),
            Entry(task_id, 'test', version, {}, priority),
        )

    def status_of(self, task_id):
        task = self.tasks.get(task_id)
        return Status(task.status), task.message

    def left(self, task_id):
        return sql_queue.left(self._database, task_id)


class TestSqliteQueue(SqlQueueContract):
    kind = 'sqlite'


class TestPostgresqlQueue(SqlQueueContract):
    kind = 'postgresql'
