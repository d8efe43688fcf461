"""A look that only asks whether to stop early does not end a fetch that could go on."""

import pytest

from glance import toolbox
from glance.domain import errors
from glance.domain.lease import DatabaseGone, Lease
from glance.flows import fetch_listener, steps
from glance.testing.fakes.images import FakeImageRepository
from glance.testing.fakes.queue import FakeQueue
from glance.testing.fakes.toolbox import fake_toolbox

LEASE = Lease('t1', 1)


class Images(FakeImageRepository):
    """Answers with this error."""

    error: BaseException | None = None
    looks = 0

    def verify_importing(self, lease, image_id, *, max_age=0.0):
        self.looks += 1
        raise self.error


class Queue(FakeQueue):
    """Does not know who holds the lease: its database does not answer."""

    def verify_lease(self, lease):
        raise DatabaseGone


@pytest.fixture
def images():
    made = Images()
    toolbox.fill(fake_toolbox(Queue(), None, images=made))
    return made


class Often(fetch_listener._ImageStillImporting):
    INTERVAL = 0.0


def test_a_fetch_goes_on_while_the_database_does_not_answer(images):
    images.error = DatabaseGone()
    check = Often(LEASE, 'i1')
    check.look()
    check.look()  # not soon again: each look may take seconds now
    assert images.looks == 1


def test_a_deleted_image_ends_the_fetch(images):
    images.error = errors.ImageGone('i1')
    with pytest.raises(errors.ImageGone):
        Often(LEASE, 'i1').look()


@pytest.mark.usefixtures('images')
def test_what_was_made_is_kept_if_nobody_knows_whether_the_lease_is_lost():
    taken_back = []
    with steps._take_back(LEASE, lambda: taken_back.append(1)):
        pass
    assert not taken_back
