"""The real queue in a real database, with what the contract suites ask of FakeQueue besides."""

import datetime
import time

import sqlalchemy as sa

from glance.db import migrations, sessions, task_queue, task_repository
from glance.db.logbook import SqlLogbook
from glance.db.models import leftovers
from glance.db.models import task_queue as entries
from glance.domain.entry import Entry
from glance.domain.leftover import Leftover
from glance.domain.task import Status, Task
from glance.testing import fakes


class SqlQueue(task_queue.SqlTaskQueue):
    """finish() leaves out the image: the steps of the suites make none."""

    def __init__(self, url):
        self.database = sessions.open_database(url)
        migrations.sync(self.database.engine)
        super().__init__(self.database, time_to_live=48)
        self._tasks = task_repository.SqlTaskRepository(self.database)

    def logbook(self, claim, flow):
        return SqlLogbook(self.database, claim.lease, flow)

    def add(self, task_id, *, type_='test', priority=0, version=1, work=None):
        at = datetime.datetime.now(datetime.UTC)
        self._tasks.add(
            Task(task_id, type_, 'us', {}, at, at),
            Entry(task_id, type_, version, work or {}, priority),
        )

    @property
    def tasks(self):
        return _Ends(self._tasks)

    def open(self):
        return list(
            self.database.read(
                lambda connection: connection.scalars(
                    entries.select().with_only_columns(entries.c.task_id)
                ).all()
            )
        )

    def left(self, task_id):
        return left(self.database, task_id)

    def wait_until(self, true, *, every=0.01):
        end = time.monotonic() + fakes.PATIENCE
        while not true():
            if time.monotonic() > end:
                raise TimeoutError('Nothing came of it.')
            time.sleep(every)

    def end_of(self, task_id):
        self.wait_until(lambda: task_id not in self.open())
        return self.tasks[task_id][0]

    @staticmethod
    def _activate(connection, image_id, lease, location, facts):
        pass


def left(database, task_id):
    """What a task could not remove, in the order in which it was recorded."""
    rows = database.read(
        lambda connection: connection.execute(
            sa.select(leftovers).where(leftovers.c.task_id == task_id).order_by(leftovers.c.id)
        ).all()
    )
    return [Leftover(row.kind, row.address, row.store) for row in rows]


class _Ends:
    def __init__(self, tasks):
        self._tasks = tasks

    def __getitem__(self, task_id):
        task = self._tasks.get(task_id)
        return Status(task.status), task.message
