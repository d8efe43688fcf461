"""Do the repositories keep the promises of TaskRepository and ImageRepository?"""

import datetime
import threading

import pytest
import sqlalchemy as sa

from glance.db import models
from glance.db.image_repository import SqlImageRepository
from glance.db.task_repository import SqlTaskRepository
from glance.domain import errors
from glance.domain.idempotency import LIFETIME
from glance.domain.leftover import Leftover
from glance.testing.contracts.images import ImageRepositoryContract
from glance.testing.contracts.tasks import TaskRepositoryContract
from glance.testing.fakes.images import FakeImageRepository
from glance.testing.fakes.queue import FakeQueue
from glance.testing.fakes.tasks import FakeTaskRepository
from tests import databases

from .sql_queue import SqlQueue

# Transactions of this database that wait for the lock of another one.
WAITING = {
    'postgresql': 'SELECT count(*) FROM pg_stat_activity'
    " WHERE wait_event_type = 'Lock' AND datname = current_database()",
    'mariadb': "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
    ' AND trx_mysql_thread_id IN'
    ' (SELECT id FROM information_schema.processlist WHERE db = database())',
}
# Seconds between two looks: asked again within 0.1 s, MariaDB answers from what it read before.
LOOK = 0.2
LONG_AGO = datetime.datetime(2020, 1, 1)


class TestFakeTasks(TaskRepositoryContract):
    def make_repositories(self):
        queue = FakeQueue()
        return FakeTaskRepository(queue), FakeImageRepository(queue.verify_lease), queue

    def expire(self, task_id):
        self.tasks.records[task_id].expires_at = LONG_AGO.replace(tzinfo=datetime.UTC)

    def age_keys(self):
        at = LONG_AGO.replace(tzinfo=datetime.UTC)
        self.tasks.keys = {name: (*kept[:2], at) for name, kept in self.tasks.keys.items()}


class TestFakeImages(ImageRepositoryContract):
    def make_images(self):
        queue = FakeQueue()
        return FakeImageRepository(queue.verify_lease), queue


class OnDatabase:
    @pytest.fixture(autouse=True)
    def _queue(self, database):
        self.queue_of_all = SqlQueue(database)
        self.database = self.queue_of_all.database
        yield
        self.database.close()


class TestSqlTasks(OnDatabase, TaskRepositoryContract):
    def make_repositories(self):
        return (
            SqlTaskRepository(self.database),
            SqlImageRepository(self.database),
            self.queue_of_all,
        )

    def expire(self, task_id):
        expired = sa.update(models.tasks).where(models.tasks.c.id == task_id)
        self.database.write(
            lambda connection: connection.execute(expired.values(expires_at=LONG_AGO))
        )

    def age_keys(self):
        aged = sa.update(models.idempotency_keys).values(
            recorded_at=models.idempotency_keys.c.recorded_at - LIFETIME
        )
        self.database.write(lambda connection: connection.execute(aged))


class TestSqlImages(OnDatabase, ImageRepositoryContract):
    def make_images(self):
        return SqlImageRepository(self.database), self.queue_of_all

    def test_the_bytes_that_a_task_left_are_removable_whether_or_not_it_named_their_store(self):
        self.queue.record_leftovers(
            self.lease,
            [
                *(Leftover('location', 'memory://a', store) for store in ('fast', 'slow', None)),
                Leftover('staging', '/staging/t1'),
                Leftover('image', 'i1'),
            ],
        )
        for left in (['fast', 'slow', ''], ['slow', ''], [''], []):
            found = self.images.removable()
            assert [(one.store, one.url) for one in found] == [(s, 'memory://a') for s in left]
            if found:
                self.images.remove_location(found[0])
        kept = [one.kind for one in self.queue_of_all.leftovers_of('t1')]
        assert kept == ['staging', 'image']

    @pytest.mark.on('postgresql', 'mariadb')
    def test_a_deletion_amid_the_undo_of_a_run_is_not_forgotten(self):
        self._create()
        asked = sa.text(WAITING[databases.CHOSEN])
        removing = threading.Thread(target=self.images.remove, args=(self.lease, 'i1'))
        with self.database.engine.connect() as caller:
            deleted = sa.update(models.images).values(status='deleted', deleted=True)
            caller.execute(deleted)
            removing.start()
            self.queue.wait_until(
                lambda: self.database.read(lambda connection: connection.scalar(asked)), every=LOOK
            )
            caller.commit()
        removing.join()
        with pytest.raises(errors.ImageGone):
            self.images.create(self.lease, self._image())
