"""Whether an image is still wanted is read for all runs of a process at once."""

import datetime

import pytest
import sqlalchemy as sa

from glance.db import importing
from glance.db.image_repository import SqlImageRepository
from glance.db.models import task_queue
from glance.domain import errors
from glance.domain.image import Image, Status
from glance.domain.lease import DatabaseGone, Lease

TASKS = ('t1', 't2', 't3')
AT = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)


@pytest.fixture
def images(database):
    repository = SqlImageRepository(database)
    entry = {'type': 'import', 'flow_version': 1, 'work': '{}', 'posted_at': 0, 'lease': 1}
    for task_id in TASKS:
        row = entry | {'task_id': task_id, 'owner': 'me'}
        database.write(lambda connection, row=row: connection.execute(sa.insert(task_queue), row))
        image = Image(
            id=f'image-of-{task_id}',
            owner='a',
            status=Status.IMPORTING,
            created_at=AT,
            updated_at=AT,
            created_by_task=task_id,
        )
        repository.create(Lease(task_id, 1), image)
    return repository


@pytest.fixture
def statements(database, images):
    made = []
    sa.event.listen(
        database.engine,
        'before_cursor_execute',
        lambda _connection, _cursor, statement, *_: made.append(statement),
    )
    return made


def selects(statements):
    return [statement for statement in statements if statement.startswith('SELECT')]


def check_all(images, max_age):
    for task_id in TASKS:
        images.verify_importing(Lease(task_id, 1), f'image-of-{task_id}', max_age=max_age)


def test_one_reading_serves_all_runs(images, statements):
    check_all(images, max_age=60)  # the first time each is new
    images.verify_importing(Lease('t1', 1), 'image-of-t1', max_age=1e-9)
    statements.clear()
    for _ in range(10):
        check_all(images, max_age=60)
    assert selects(statements) == []
    images.verify_importing(Lease('t1', 1), 'image-of-t1', max_age=1e-9)
    assert len(selects(statements)) == 1


def test_without_leave_to_be_late_each_is_read_by_itself(images, statements):
    for task_id in TASKS:
        images.verify_importing(Lease(task_id, 1), f'image-of-{task_id}')
    assert len(selects(statements)) == 3


def test_an_image_deleted_since_is_noticed_by_the_next_reading(images):
    lease = Lease('t1', 1)
    images.verify_importing(lease, 'image-of-t1', max_age=60)
    images.delete('image-of-t1')
    with pytest.raises(errors.ImageGone):
        images.verify_importing(lease, 'image-of-t1', max_age=1e-9)


def test_an_image_that_the_reading_does_not_show_is_looked_at_itself(images):
    images.verify_importing(Lease('t1', 1), 'image-of-t1', max_age=60)
    with pytest.raises(errors.ImageGone):
        images.verify_importing(Lease('t1', 1), 'image-of-t2', max_age=60)


@pytest.mark.usefixtures('images')
def test_who_asks_no_more_is_read_no_more(database):
    cache = importing.ImportingCache(database, max_idle=0)
    images = SqlImageRepository(database, cache)
    check_all(images, max_age=60)
    assert len(cache.images) == 3
    images.verify_importing(Lease('t1', 1), 'image-of-t1', max_age=1e-9)
    assert cache.images == ['image-of-t1']


def test_a_reading_that_failed_is_made_again(images, database):
    def broken(_function, **_options):
        raise errors.DatabaseUnavailable

    lease = Lease('t1', 1)
    reading, database.read = database.read, broken
    with pytest.raises(DatabaseGone):
        images.verify_importing(lease, 'image-of-t1', max_age=60)
    database.read = reading
    images.verify_importing(lease, 'image-of-t1', max_age=60)
