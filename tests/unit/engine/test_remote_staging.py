"""What a conductor says of files that workers have staged elsewhere."""

import pytest

from glance.domain.lease import Lease
from glance.engine.remote_staging import RemoteStaging
from glance.testing.fakes.staging import FakeStaging

TASK = '0d5f9d3e-8f0e-4d75-8e2b-6d1b2f3c4a5e'
LEASE = Lease(TASK, 2)


class Remote:
    def __init__(self):
        self.gone = set()
        self.swept = []

    def is_gone(self, area):
        return area in self.gone

    def sweep(self, task_id):
        self.swept.append(task_id)


@pytest.fixture
def remote():
    return Remote()


@pytest.fixture
def here(tmp_path):
    staging = FakeStaging(tmp_path)
    staging.origin = {'area': 'here', 'host': 'a'}
    return staging


@pytest.fixture
def staging(here, remote):
    return RemoteStaging(here, remote)


def staged(path='/nowhere/image', **origin):
    return {'path': path, 'size': 4, **origin}


@pytest.mark.parametrize('origin', [{}, {'area': 'here'}])
def test_a_file_of_this_host_is_looked_at(staging, here, origin):
    path = here.path(LEASE)
    assert not staging.holds(staged(path, **origin))
    with open(path, 'wb') as file:
        file.write(b'bits')
    assert staging.holds(staged(path, **origin))


def test_a_file_of_another_host_counts_as_there_until_that_is_gone(staging, here, remote):
    assert staging.holds(staged(area='there'))
    assert not here.holds(staged(area='there'))
    remote.gone.add('there')
    assert not staging.holds(staged(area='there'))


def test_a_file_of_the_same_name_on_another_host_is_another(here):
    path = here.path(LEASE)
    with open(path, 'wb') as file:
        file.write(b'bits')
    assert not here.holds(staged(path, area='there'))


def test_workers_remove_what_a_task_has_staged_when_all_of_it_goes(staging, here, remote):
    here.path(LEASE)
    staging.remove(LEASE)
    assert remote.swept == []
    staging.remove(LEASE, earlier=True)
    assert remote.swept == [TASK]
