"""Pages of tasks and images: stable, complete, by marker."""

import datetime
import itertools

import pytest

from glance.db.image_repository import SqlImageRepository
from glance.db.task_repository import SqlTaskRepository
from glance.domain import errors
from glance.domain.entry import Entry
from glance.domain.image import Image, Status
from glance.domain.lease import Lease
from glance.domain.listing import Listing
from glance.domain.task import Task

AT = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def tasks(database):
    repository = SqlTaskRepository(database)
    for number in range(12):
        at = AT + datetime.timedelta(seconds=number // 3)  # three share a second
        repository.add(
            Task(
                f't{number:02}',
                'import',
                'a' if number % 2 else 'b',
                {},
                at,
                at,
                image_id=None if number % 4 else f'i{number}',
            ),
            Entry(f't{number:02}', 'import', 1, {}),
        )
    return repository


def all_pages(repository, limit, **listing):
    found, marker = [], None
    while page := repository.page(Listing(limit, marker=marker, **listing)):
        found += [item.id for item in page]
        marker = page[-1].id
    return found


@pytest.mark.parametrize(
    'sort',
    [
        (('created_at', 'desc'),),
        (('created_at', 'asc'),),
        (('owner', 'asc'),),
        (('image_id', 'asc'),),
        (('image_id', 'desc'),),
        (('expires_at', 'desc'),),
        (('id', 'desc'),),
        (('owner', 'desc'), ('image_id', 'asc')),
    ],
)
def test_pages_hold_each_item_once_in_one_order(tasks, sort):
    whole = [item.id for item in tasks.page(Listing(1000, sort=sort))]
    assert len(whole) == len(set(whole)) == 12
    for limit in (1, 2, 5, 100):
        assert all_pages(tasks, limit, sort=sort) == whole


def test_the_newest_comes_first_and_ties_are_broken_by_id(tasks):
    page = tasks.page(Listing(4))
    assert [item.id for item in page] == ['t11', 't10', 't09', 't08']


def test_filters_and_owner_narrow_a_list(tasks):
    assert len(tasks.page(Listing(100, filters={'owner': 'a'}))) == 6
    assert len(tasks.page(Listing(100), owner='b')) == 6
    assert tasks.page(Listing(100, filters={'status': 'success'})) == []


def test_a_marker_that_is_not_in_the_list_is_invalid(tasks):
    for marker, owner in (('nobody', None), ('t01', 'b')):
        with pytest.raises(errors.Invalid, match=marker):
            tasks.page(Listing(5, marker=marker), owner=owner)


def test_a_limit_of_nothing_is_an_empty_page(tasks):
    assert tasks.page(Listing(0)) == []


@pytest.fixture
def images(database, tasks):
    repository = SqlImageRepository(database)
    database.write(
        lambda connection: connection.exec_driver_sql('UPDATE task_queue SET lease = 1')
    )
    counter = itertools.count()

    def add(**facts):
        number = next(counter)
        facts = {'visibility': 'private', 'owner': 'a'} | facts
        repository.create(
            Lease(f't{number:02}', 1),
            Image(
                id=f'image-{number}',
                created_at=AT,
                updated_at=AT,
                status=Status.IMPORTING,
                created_by_task=f't{number:02}',
                **facts,
            ),
        )
        return f'image-{number}'

    repository.add_one = add
    return repository


def found(images, *, project=None, **filters):
    return {item.id for item in images.page(Listing(100, filters=filters), visible_to=project)}


def test_a_project_sees_its_own_and_what_is_public(images):
    own = images.add_one()
    public = images.add_one(owner='b', visibility='public')
    community = images.add_one(owner='b', visibility='community')
    hidden = images.add_one(owner='b')
    assert found(images, project='a') == {own, public}
    assert found(images, project='a', visibility='all') == {own, public, community}
    assert found(images, project='a', visibility='community') == {community}
    assert found(images) == {own, public, community, hidden}
    assert images.get(community, visible_to='a').id == community
    with pytest.raises(errors.ImageNotFound):
        images.get(hidden, visible_to='a')


def test_images_are_filtered_by_what_they_are(images):
    one = images.add_one(name='x', tags=['a', 'b'], properties={'os': 'linux'}, size=10)
    two = images.add_one(name='y', tags=['a'], size=20, os_hidden=True)
    assert found(images, name='x') == {one}
    assert found(images, name=['x', 'y']) == {one, two}
    assert found(images, tag=['a']) == {one, two}
    assert found(images, tag=['a', 'b']) == {one}
    assert found(images, properties={'os': 'linux'}) == {one}
    assert found(images, size_min=15) == {two}
    assert found(images, size_max=15) == {one}
    assert found(images, os_hidden=False) == {one}
    later = AT + datetime.timedelta(days=1)
    assert found(images, created_at=('lt', later)) == {one, two}
    assert found(images, created_at=('gte', later)) == set()
    [image] = images.page(Listing(1, filters={'name': 'x'}))
    assert (image.tags, image.properties) == (['a', 'b'], {'os': 'linux'})
