"""Whether an image is still wanted is read for all runs of a process at once."""

import datetime

import pytest
import sqlalchemy as sa

from glance.db import image_repository
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


def check_all(images, within):
    for task_id in TASKS:
        images.check(Lease(task_id, 1), f'image-of-{task_id}', within=within)


def test_one_reading_serves_all_runs(images, statements):
    check_all(images, within=60)  # the first time each is new
    images.check(Lease('t1', 1), 'image-of-t1', within=1e-9)
    statements.clear()
    for _ in range(10):
        check_all(images, within=60)
    assert selects(statements) == []
    images.check(Lease('t1', 1), 'image-of-t1', within=1e-9)
    assert len(selects(statements)) == 1


def test_without_leave_to_be_late_each_is_read_by_itself(images, statements):
    for task_id in TASKS:
        images.check(Lease(task_id, 1), f'image-of-{task_id}')
    assert len(selects(statements)) == 3


def test_an_image_deleted_since_is_noticed_by_the_next_reading(images):
    lease = Lease('t1', 1)
    images.check(lease, 'image-of-t1', within=60)
    images.delete('image-of-t1')
    with pytest.raises(errors.ImageGone):
        images.check(lease, 'image-of-t1', within=1e-9)


def test_an_image_that_the_reading_does_not_show_is_looked_at_itself(images):
    images.check(Lease('t1', 1), 'image-of-t1', within=60)
    with pytest.raises(errors.ImageGone):
        images.check(Lease('t1', 1), 'image-of-t2', within=60)


def test_who_asks_no_more_is_read_no_more(images, monkeypatch):
    check_all(images, within=60)
    monkeypatch.setattr(image_repository._Importing, 'LATELY', 0)
    images.check(Lease('t1', 1), 'image-of-t1', within=1e-9)
    assert list(images._importing._asked_at) == ['image-of-t1']


def test_a_reading_that_failed_is_made_again(images, database):
    def broken(_function):
        raise errors.DatabaseUnavailable

    lease = Lease('t1', 1)
    reading, database.read = database.read, broken
    with pytest.raises(DatabaseGone):
        images.check(lease, 'image-of-t1', within=60)
    database.read = reading
    images.check(lease, 'image-of-t1', within=60)
