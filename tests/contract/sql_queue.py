"""The real queue in a real database, as the contract suites observe it."""

import datetime

import sqlalchemy as sa

from glance.db import migrations, sessions, task_queue, task_repository
from glance.db.logbook import SqlLogbook
from glance.db.models import leftovers
from glance.db.models import task_queue as entries
from glance.domain.entry import Entry
from glance.domain.leftover import Leftover
from glance.domain.task import Status, Task
from glance.testing.observed_queue import ObservedQueue


class SqlQueue(task_queue.SqlTaskQueue, ObservedQueue):
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

    def status_of(self, task_id):
        task = self._tasks.get(task_id)
        return Status(task.status), task.message

    def cancel_of(self, task_id):
        task = self._tasks.get(task_id)
        return task.cancelled_at and (task.cancel_reason, task.cancelled_by)

    def open(self):
        return list(
            self.database.read(
                lambda connection: connection.scalars(
                    entries.select().with_only_columns(entries.c.task_id)
                ).all()
            )
        )

    def events_of(self, task_id):
        return self._tasks.events(task_id, limit=1000)

    def progress_of(self, task_id):
        task = self._tasks.get(task_id)
        return task.progress, task.steps

    def leftovers_of(self, task_id):
        rows = self.database.read(
            lambda connection: connection.execute(
                sa.select(leftovers).where(leftovers.c.task_id == task_id).order_by(leftovers.c.id)
            ).all()
        )
        return [Leftover(row.kind, row.address, row.store) for row in rows]
