"""What every TaskRepository promises, as a test suite."""

import datetime

import pytest

from glance.domain import errors
from glance.domain.entry import Entry
from glance.domain.events import Kind
from glance.domain.idempotency import IdempotencyKey, key_for
from glance.domain.image import Image
from glance.domain.lease import Lease, Progress
from glance.domain.listing import Listing
from glance.domain.steps import RunReport
from glance.domain.task import Status, Task
from glance.interfaces.repositories import ImageRepository, TaskRepository
from glance.interfaces.writes import Write, WrongWrite
from glance.testing.observed_queue import ObservedQueue

NOON = datetime.datetime(2020, 1, 1, 12, tzinfo=datetime.UTC)
IMAGE = '3f0ac3ad-6b9c-4f3e-9c0c-0a54f0b0f6a1'


class TaskRepositoryContract:
    """Mix in; define make_repositories(), expire(task_id) and age_keys().

    make_repositories  empty repositories, and the queue that gets the entries
    expire             lets a task expire, whether or not it has ended
    age_keys           lets all keys become older than LIFETIME
    """

    def make_repositories(self) -> tuple[TaskRepository, ImageRepository, ObservedQueue]:
        raise NotImplementedError

    def expire(self, task_id: str) -> None:
        raise NotImplementedError

    def age_keys(self) -> None:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _set_up(self) -> None:
        self.tasks, self.images, self.queue = self.make_repositories()

    def _add(
        self,
        task_id: str,
        *,
        owner: str = 'us',
        minute: int = 0,
        image_id: str | None = None,
        writes: tuple[Write, ...] = (),
        key: IdempotencyKey | None = None,
    ) -> Task | None:
        at = NOON + datetime.timedelta(minutes=minute)
        task = Task(
            task_id,
            'test',
            owner,
            {'a': 1},
            at,
            at,
            image_id=image_id,
            user_id='me',
            retry_of='t0',
        )
        added = self.tasks.add(task, Entry(task_id, 'test', 1, {'b': 2}), writes, key=key)
        return task if added else None

    def test_what_was_added_is_found_as_it_was(self) -> None:
        assert self._add('t1') == self.tasks.get('t1')

    def test_an_added_task_is_queued(self) -> None:
        self._add('t1')
        [claim] = self.queue.claim('me', 9, seconds=30, versions={'test': 1})
        assert (claim.lease.task_id, claim.work) == ('t1', {'b': 2})
        assert self.tasks.get('t1').status == Status.PROCESSING

    def _image(self) -> Lease:
        """Make an image; returns the lease of the run that made it."""
        self.queue.add('maker')
        [claim] = self.queue.claim('us', 1, seconds=30, versions={'test': 1})
        self.images.create(claim.lease, Image(IMAGE, 'us', NOON, NOON))
        return claim.lease

    def test_a_task_about_an_image_that_exists_is_accepted(self) -> None:
        self._image()
        self._add('t1', image_id=IMAGE)
        assert self.tasks.get('t1').image_id == IMAGE

    def test_a_task_whose_write_cannot_be_applied_is_refused_whole(self) -> None:
        self._image()
        with pytest.raises(errors.ImageExists):
            self._add('t1', image_id=IMAGE, writes=(self.images.absence(IMAGE),))
        with pytest.raises(errors.TaskNotFound):
            self.tasks.get('t1')
        assert self.queue.claim('me', 9, seconds=30, versions={'test': 1}) == []

    def test_a_post_applies_no_write_of_a_claim(self) -> None:
        lease = self._image()
        update = self.images.property_update(lease, IMAGE, {'os': 'x'})
        with pytest.raises(WrongWrite):
            self._add('t1', writes=(update,))
        assert self.images.get(IMAGE).properties == {}
        with pytest.raises(errors.TaskNotFound):
            self.tasks.get('t1')

    def test_an_unknown_task_is_not_found(self) -> None:
        with pytest.raises(errors.TaskNotFound):
            self.tasks.get('t1')

    def test_a_task_is_shown_to_its_owner_only(self) -> None:
        self._add('t1', owner='us')
        assert self.tasks.get('t1', owner='us').id == 't1'
        with pytest.raises(errors.TaskNotFound):
            self.tasks.get('t1', owner='them')
        assert self.tasks.page(Listing(9), owner='them') == []

    def test_the_events_of_a_task_come_in_pages(self) -> None:
        self._add('t1')
        [claim] = self.queue.claim('me', 9, seconds=30, versions={'test': 1})
        self.queue.fail(claim.lease, 'It was so.')
        told = self.tasks.events('t1', limit=9)
        assert [event.kind for event in told] == [Kind.ACCEPTED, Kind.CLAIMED, Kind.FAILING]
        assert told[0].detail == {'by': 'me', 'retry_of': 't0'}
        first = self.tasks.events('t1', limit=2)
        assert [event.seq for event in first] == [1, 2]
        assert [event.seq for event in self.tasks.events('t1', limit=2, after=2)] == [3]
        assert self.tasks.events('t1', limit=2, after=3) == []
        assert self.tasks.events('t1', limit=0) == []
        with pytest.raises(errors.Invalid, match='"marker" 4'):
            self.tasks.events('t1', limit=2, after=4)

    def test_events_are_shown_to_the_owner_and_while_the_task_is(self) -> None:
        self._add('t1', owner='us')
        assert self.tasks.events('t1', limit=9, owner='us')
        for task_id, owner in (('t1', 'them'), ('t2', None)):
            with pytest.raises(errors.TaskNotFound):
                self.tasks.events(task_id, limit=9, owner=owner)
        self.expire('t1')
        for _ in range(2):
            with pytest.raises(errors.TaskNotFound):
                self.tasks.events('t1', limit=9)
            self.tasks.purge(limit=9)

    def test_lists_say_how_far_each_task_is(self) -> None:
        for number in range(3):
            self._add(f't{number}', minute=number)
        claims = self.queue.claim('me', 2, seconds=30, versions={'test': 1})
        self.queue.finish(claims[0].lease, {})
        self.queue.end(claims[0].lease)
        self.queue.renew('me', {claims[1].lease: RunReport(Progress(1), 30)}, seconds=30)
        shown = {task.id: (task.progress, task.steps) for task in self.tasks.page(Listing(9))}
        ended, running = (claim.lease.task_id for claim in claims)
        assert (shown.pop(ended), shown.pop(running)) == ((100, []), (30, []))
        assert list(shown.values()) == [(0, [])]

    def test_the_message_of_a_failed_task_is_kept(self) -> None:
        self._add('t1')
        [claim] = self.queue.claim('me', 9, seconds=30, versions={'test': 1})
        self.queue.fail(claim.lease, 'It was so.')
        self.queue.end(claim.lease)
        task = self.tasks.get('t1')
        assert (task.status, task.message) == (Status.FAILURE, 'It was so.')

    def test_who_cancelled_a_task_when_and_why_is_kept(self) -> None:
        self._add('t1')
        self._add('t2')
        before = datetime.datetime.now(datetime.UTC)
        self.queue.claim('me', 1, seconds=30, versions={'test': 1})
        for task_id in ('t1', 't2'):
            self.queue.cancel(task_id, reason='Ein Grund: \U0001f4a5', by='me')
        runs, never_begun = self.tasks.get('t1'), self.tasks.get('t2')
        assert (runs.status, runs.cancelled) == (Status.PROCESSING, False)
        assert (never_begun.status, never_begun.cancelled) == (Status.FAILURE, True)
        assert never_begun.message == str(errors.Cancelled())
        for task in (runs, never_begun):
            assert (task.cancel_reason, task.cancelled_by) == ('Ein Grund: \U0001f4a5', 'me')
            assert task.cancelled_at is not None
            assert before <= task.cancelled_at <= datetime.datetime.now(datetime.UTC)

    def test_pages_follow_each_other_the_newest_first(self) -> None:
        for number in range(5):
            self._add(f't{number}', minute=number)
        first = self.tasks.page(Listing(2))
        assert [task.id for task in first] == ['t4', 't3']
        rest = self.tasks.page(Listing(9, marker='t3'))
        assert [task.id for task in rest] == ['t2', 't1', 't0']

    def test_tasks_of_one_moment_have_an_order_too(self) -> None:
        for number in (2, 1, 3):
            self._add(f't{number}')
        assert [task.id for task in self.tasks.page(Listing(2))] == ['t3', 't2']
        assert [task.id for task in self.tasks.page(Listing(2, marker='t2'))] == ['t1']

    def test_a_page_is_sorted_and_filtered_as_asked(self) -> None:
        for number in range(3):
            self._add(f't{number}', owner='us' if number else 'them')
        listing = Listing(9, sort=(('id', 'asc'),), filters={'owner': 'us'})
        assert [task.id for task in self.tasks.page(listing)] == ['t1', 't2']
        several = Listing(9, filters={'owner': ['them', 'nobody']})
        assert [task.id for task in self.tasks.page(several)] == ['t0']

    def test_a_page_leaves_out_input_result_and_message(self) -> None:
        self._add('t1')
        [task] = self.tasks.page(Listing(9))
        assert (task.input, task.result, task.message) == ({}, None, '')

    def test_a_bad_marker_is_refused(self) -> None:
        self._add('t1', owner='us')
        for marker, owner in (('t2', None), ('t1', 'them')):
            with pytest.raises(errors.Invalid):
                self.tasks.page(Listing(9, marker=marker), owner=owner)

    def test_the_tasks_of_an_image_come_newest_first(self) -> None:
        self._add('t1', image_id=IMAGE, minute=1)
        self._add('t2', image_id=IMAGE, minute=2, owner='them')
        self._add('t3')
        assert [task.id for task in self.tasks.of_image(IMAGE)] == ['t2', 't1']
        assert [task.id for task in self.tasks.of_image(IMAGE, owner='us')] == ['t1']

    def test_an_expired_task_is_shown_nowhere(self) -> None:
        self._add('t1', image_id=IMAGE)
        self.expire('t1')
        with pytest.raises(errors.TaskNotFound):
            self.tasks.get('t1')
        assert self.tasks.page(Listing(9)) == []
        assert self.tasks.of_image(IMAGE) == []

    def test_no_more_expired_tasks_are_removed_than_asked(self) -> None:
        for number in range(4):
            self._add(f't{number}')
        for number in range(3):
            self.expire(f't{number}')
        assert [self.tasks.purge(limit=2) for _ in range(3)] == [2, 1, 0]
        assert [task.id for task in self.tasks.page(Listing(9))] == ['t3']

    def test_of_some_tasks_those_that_have_ended_are_found_whole(self) -> None:
        for task_id in ('t1', 't2', 't3', 't4'):
            self._add(task_id)
        for claim in self.queue.claim('me', 3, seconds=30, versions={'test': 1}):
            if claim.lease.task_id == 't1':
                self.queue.fail(claim.lease, 'It was so.')
                self.queue.end(claim.lease)
            elif claim.lease.task_id == 't2':
                self.queue.finish(claim.lease, {})
        found = {task.id: task for task in self.tasks.ended(['t1', 't3', 't4', 'unknown'])}
        assert found == {'t1': self.tasks.get('t1')}
        assert found['t1'].message == 'It was so.'
        assert {task.id for task in self.tasks.ended(['t1', 't2'])} == {'t1', 't2'}
        assert self.tasks.ended([]) == []

    def test_a_key_stands_for_the_first_task_that_came_with_it(self) -> None:
        first, second = key_for('k', 'us', 1), key_for('k', 'us', 2)
        assert self.tasks.of_key(first) is None
        assert self._add('t1', key=first)
        self.queue.claim('me', 9, seconds=30, versions={'test': 1})
        for key in (first, second):
            assert self._add('t2', key=key) is None
            assert self.tasks.of_key(key) == (self.tasks.get('t1'), first.fingerprint)
        with pytest.raises(errors.TaskNotFound):
            self.tasks.get('t2')
        assert self.queue.claim('me', 9, seconds=30, versions={'test': 1}) == []

    def test_each_project_has_its_own_keys_and_upper_case_is_another(self) -> None:
        for task_id, key in (
            ('t1', key_for('k', 'us', 1)),
            ('t2', key_for('k', 'them', 1)),
            ('t3', key_for('K', 'us', 1)),
        ):
            assert self._add(task_id, key=key)
            found = self.tasks.of_key(key)
            assert found is not None
            assert found[0].id == task_id

    def test_a_task_that_was_refused_has_taken_no_key(self) -> None:
        self._image()
        key = key_for('k', 'us', 1)
        with pytest.raises(errors.ImageExists):
            self._add('t1', image_id=IMAGE, writes=(self.images.absence(IMAGE),), key=key)
        assert self.tasks.of_key(key) is None
        assert self._add('t2', key=key)

    def test_a_key_is_free_again_when_its_task_has_expired(self) -> None:
        key = key_for('k', 'us', 1)
        self._add('t1', key=key)
        self.expire('t1')
        assert self.tasks.of_key(key) is None
        assert self._add('t2', key=key)
        assert self._add('t3', key=key) is None

    def test_a_key_goes_with_its_task(self) -> None:
        self._add('t1', key=key_for('k', 'us', 1))
        self.expire('t1')
        assert self.tasks.purge(limit=9) == 1
        assert self.tasks.of_key(key_for('k', 'us', 1)) is None
        self.age_keys()
        assert self.tasks.forget_keys() == 0

    def test_a_key_is_free_again_after_its_lifetime(self) -> None:
        key = key_for('k', 'us', 1)
        self._add('t1', key=key)
        self._add('t2', key=key_for('other', 'us', 1))
        assert self.tasks.forget_keys() == 0
        self.age_keys()
        assert self.tasks.of_key(key) is None
        assert self._add('t3', key=key)
        found = self.tasks.of_key(key)
        assert found is not None
        assert found[0].id == 't3'
        assert self.tasks.forget_keys() == 1
        assert self.tasks.get('t1').id == 't1'
