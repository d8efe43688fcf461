"""What every ImageRepository promises, as a test suite."""

import collections.abc
import dataclasses
import datetime
import typing

import pytest

from glance.domain import errors
from glance.domain.image import Image, Location, Status
from glance.domain.lease import Lease, LostLease
from glance.domain.listing import Listing
from glance.interfaces.repositories import ImageRepository
from glance.interfaces.writes import Write, WrongWrite
from glance.testing.observed_queue import ObservedQueue

NOON = datetime.datetime(2020, 1, 1, 12, tzinfo=datetime.UTC)
FACTS = {
    'size': 7,
    'virtual_size': None,
    'checksum': 'an MD5',
    'os_hash_algo': 'sha512',
    'os_hash_value': 'a SHA-512',
}


class ImageRepositoryContract:
    """Mix in; define make_images(): an empty repository, and the queue whose leases it heeds."""

    def make_images(self) -> tuple[ImageRepository, ObservedQueue]:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _set_up(self) -> None:
        self.images, self.queue = self.make_images()
        self.lease = self._claimed('t1')

    def _claimed(self, task_id: str) -> Lease:
        self.queue.add(task_id)
        [claim] = self.queue.claim('us', 1, seconds=30, versions={'test': 1})
        return claim.lease

    def _image(self, image_id: str = 'i1', *, minute: int = 0, **fields: typing.Any) -> Image:
        at = NOON + datetime.timedelta(minutes=minute)
        image = Image(image_id, 'us', at, at, Status.IMPORTING, created_by_task='t1')
        return dataclasses.replace(image, **fields)

    def _create(self, image_id: str = 'i1', *, minute: int = 0, **fields: typing.Any) -> Image:
        image = self._image(image_id, minute=minute, **fields)
        self.images.create(self.lease, image)
        return image

    def _activate(self, location: Location, facts: dict[str, typing.Any] = FACTS) -> None:
        """Commit the task: the image of the location can be read."""
        activation = self.images.activation(self.lease, location.image_id, location.url, facts)
        self.queue.finish(self.lease, {}, [activation])

    def _active(self, image_id: str = 'i1', **fields: typing.Any) -> Location:
        """An image that can be read, at the location returned."""
        self._create(image_id, **fields)
        location = place(image_id)
        self.images.announce(self.lease, location)
        self._activate(location)
        return dataclasses.replace(location, status='active')

    def test_what_was_created_is_found_as_it_was(self) -> None:
        image = self._create(name='a', tags=['x', 'y'], properties={'os': 'z'}, min_disk=3)
        assert self.images.get('i1') == image

    def test_an_unknown_image_is_not_found(self) -> None:
        with pytest.raises(errors.ImageNotFound):
            self.images.get('i1')
        with pytest.raises(errors.ImageNotFound):
            self.images.delete('i1')

    @pytest.mark.parametrize(
        ('visibility', 'shown'),
        [('public', True), ('community', True), ('shared', False), ('private', False)],
    )
    def test_a_project_sees_its_own_and_what_is_for_all(
        self, visibility: str, shown: bool
    ) -> None:
        self._create(visibility=visibility)
        assert self.images.get('i1', visible_to='us').id == 'i1'
        if shown:
            assert self.images.get('i1', visible_to='them').id == 'i1'
        else:
            with pytest.raises(errors.ImageNotFound):
                self.images.get('i1', visible_to='them')

    def test_pages_follow_each_other_the_newest_first(self) -> None:
        for number in range(4):
            self._create(f'i{number}', minute=number)
        assert [image.id for image in self.images.page(Listing(2))] == ['i3', 'i2']
        assert [image.id for image in self.images.page(Listing(9, marker='i2'))] == ['i1', 'i0']
        assert self.images.page(Listing(9), visible_to='them') == []

    def test_a_bad_marker_is_refused(self) -> None:
        self._create()
        for marker, project in (('i2', None), ('i1', 'them')):
            with pytest.raises(errors.Invalid):
                self.images.page(Listing(9, marker=marker), visible_to=project)

    def test_only_real_locations_can_be_read(self) -> None:
        self._create()
        self.images.announce(self.lease, place())
        assert self.images.locations('i1') == []
        self._activate(place())
        assert self.images.locations('i1') == [dataclasses.replace(place(), status='active')]

    def test_a_deleted_image_is_gone_and_its_bytes_must_go(self) -> None:
        location = self._active()
        doomed = dataclasses.replace(location, status='pending_delete')
        assert self.images.delete('i1') == [doomed]
        assert self.images.page(Listing(9)) == []
        assert self.images.locations('i1') == []
        for call in (self.images.get, self.images.delete):
            with pytest.raises(errors.ImageNotFound):
                call('i1')
        for _ in range(2):
            self.images.remove_location(doomed)

    def test_the_bytes_of_a_deleted_image_are_removable_until_they_are_removed(self) -> None:
        self._create()
        self.images.announce(self.lease, place())
        self._active('i2')
        assert self.images.removable() == []
        [doomed] = self.images.delete('i2')
        assert self.images.removable() == [doomed]
        self.images.remove_location(doomed)
        assert self.images.removable() == []

    def test_a_protected_image_cannot_be_deleted(self) -> None:
        self._create(protected=True)
        with pytest.raises(errors.Forbidden):
            self.images.delete('i1')
        assert self.images.get('i1').protected

    def test_creating_again_changes_nothing(self) -> None:
        image = self._create()
        self._create()
        assert self.images.page(Listing(9)) == [image]

    def test_the_image_of_another_task_is_not_taken(self) -> None:
        self._create()
        other = self._claimed('t2')
        with pytest.raises(errors.ImageExists):
            self.images.create(other, self._image())
        with pytest.raises(errors.ImageGone):
            self.images.verify_importing(other, 'i1')
        with pytest.raises(errors.ImageGone):
            self.images.announce(other, place())
        self.images.announce(self.lease, place())
        assert self.images.announced(other, 'i1') == []
        self.images.remove(other, 'i1')
        assert self.images.get('i1').id == 'i1'

    @pytest.mark.parametrize('max_age', [0.0, 60.0])
    def test_only_an_image_that_is_there_and_importing_is_wanted(self, max_age: float) -> None:
        with pytest.raises(errors.ImageGone):
            self.images.verify_importing(self.lease, 'i2', max_age=max_age)
        self._create()
        self.images.verify_importing(self.lease, 'i1', max_age=max_age)

    def test_a_deleted_or_an_active_image_is_importing_no_more(self) -> None:
        self._create()
        self._active('i2')
        self.images.delete('i1')
        for image_id in ('i1', 'i2'):
            with pytest.raises(errors.ImageGone):
                self.images.verify_importing(self.lease, image_id)
            with pytest.raises(errors.ImageGone):
                self.images.announce(self.lease, place(image_id))

    def test_a_commit_makes_the_image_active_with_its_facts(self) -> None:
        self._active()
        image = self.images.get('i1')
        assert image.status == Status.ACTIVE
        assert {name: getattr(image, name) for name in FACTS} == FACTS

    def test_a_commit_for_a_deleted_image_changes_nothing(self) -> None:
        self._create()
        self.images.announce(self.lease, place())
        self.images.delete('i1')
        update = self.images.property_update(self.lease, 'i1', {'os': 'x'})
        for write in (self.images.activation(self.lease, 'i1', place().url, FACTS), update):
            with pytest.raises(errors.ImageGone):
                self.queue.finish(self.lease, {}, [write])
        assert self.queue.outcome(self.lease) == (None, '')

    def test_a_commit_sets_some_properties_and_leaves_the_others(self) -> None:
        self._create(properties={'os': 'a', 'kept': 'b'})
        update = self.images.property_update(self.lease, 'i1', {'os': 'c', 'new': 'd'})
        self.queue.finish(self.lease, {}, [update])
        assert self.images.get('i1').properties == {'os': 'c', 'kept': 'b', 'new': 'd'}

    def test_a_commit_may_set_no_property_at_all(self) -> None:
        self._create(properties={'kept': 'b'})
        self.queue.finish(self.lease, {}, [self.images.property_update(self.lease, 'i1', {})])
        assert self.images.get('i1').properties == {'kept': 'b'}

    def test_a_commit_applies_no_write_of_another_claim(self) -> None:
        self._create(properties={'os': 'a'})
        other = self._claimed('t2')
        update = self.images.property_update(self.lease, 'i1', {'os': 'c'})
        with pytest.raises(WrongWrite):
            self.queue.finish(other, {}, [update])
        assert self.images.get('i1').properties == {'os': 'a'}
        assert self.queue.outcome(other) == (None, '')

    def test_a_commit_applies_no_write_that_the_repository_did_not_make(self) -> None:
        class Foreign(Write):
            lease = self.lease

        with pytest.raises(WrongWrite):
            self.queue.finish(self.lease, {}, [Foreign()])
        assert self.queue.outcome(self.lease) == (None, '')

    def test_earlier_announcements_are_told(self) -> None:
        self._create()
        assert self.images.announce(self.lease, place(number=1)) == []
        assert self.images.announce(self.lease, place(number=1)) == []
        assert self.images.announce(self.lease, place(number=2)) == [place(number=1)]
        assert self.images.announced(self.lease, 'i1') == [place(number=1), place(number=2)]

    def test_what_is_withdrawn_is_announced_no_more(self) -> None:
        self._create()
        self.images.announce(self.lease, place())
        for _ in range(2):
            self.images.withdraw(self.lease, place())
        assert self.images.announced(self.lease, 'i1') == []

    def test_a_record_is_removed_unless_it_is_active(self) -> None:
        self._create()
        self._active('i2')
        for _ in range(2):
            self.images.remove(self.lease, 'i1')
            self.images.remove(self.lease, 'i2')
        assert [image.id for image in self.images.page(Listing(9))] == ['i2']

    def test_a_task_that_begins_again_does_not_make_a_deleted_image_anew(self) -> None:
        self._create()
        self.images.delete('i1')
        self.images.remove(self.lease, 'i1')
        with pytest.raises(errors.ImageGone):
            self.images.create(self.lease, self._image())
        self.images.remove(self.lease, 'i1')
        assert self.images.page(Listing(9)) == []

    def test_every_write_of_a_lost_lease_is_refused(self) -> None:
        image = self._create()
        self.images.announce(self.lease, place())
        self.queue.expire(['us'])
        assert self.queue.claim('them', 1, seconds=30, versions={'test': 1})
        writes: list[collections.abc.Callable[[], object]] = [
            lambda: self.images.create(self.lease, self._image('i2')),
            lambda: self.images.announce(self.lease, place(number=2)),
            lambda: self.images.announced(self.lease, 'i1'),
            lambda: self.images.withdraw(self.lease, place()),
            lambda: self.images.remove(self.lease, 'i1'),
        ]
        for write in writes:
            with pytest.raises(LostLease):
                write()
        assert self.images.page(Listing(9)) == [image]


def place(image_id: str = 'i1', number: int = 1) -> Location:
    """A location of an image as it is announced."""
    return Location(image_id, 'a-store', f'memory://{image_id}.{number}', 'pending')
