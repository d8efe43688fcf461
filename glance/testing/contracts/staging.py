"""What every Staging promises, as a test suite."""

import os
import pathlib

import pytest

from glance.domain.checkpoint import Checkpoint
from glance.domain.lease import Lease
from glance.interfaces.staging import Staging

TASK = '0d5f9d3e-8f0e-4d75-8e2b-6d1b2f3c4a5e'
OTHER = '5a4c3f2b-1b6d-4b2e-8e57-0e8f3e9d5f0d'
RECEIVED = Checkpoint(3, 9, '"v1"', closed=True)


class StagingContract:
    """Mix in; define make_staging(folder) and note(staging, lease, checkpoint).

    make_staging  an empty Staging, which may use this folder
    note          keeps a Checkpoint of the bytes that this claim has staged, as
                  the code that receives them does
    """

    def make_staging(self, folder: pathlib.Path) -> Staging:
        raise NotImplementedError

    def note(self, staging: Staging, lease: Lease, checkpoint: Checkpoint) -> None:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _set_up(self, tmp_path: pathlib.Path) -> None:
        self.staging = self.make_staging(tmp_path / 'staging')

    def _stage(self, number: int, *, task_id: str = TASK, bits: bytes = b'bits') -> pathlib.Path:
        path = pathlib.Path(self.staging.path(Lease(task_id, number)))
        path.write_bytes(bits)
        return path

    def test_each_claim_has_a_file_of_its_own(self) -> None:
        paths = {
            self.staging.path(Lease(task_id, number))
            for task_id in (TASK, OTHER)
            for number in (1, 2, 12)
        }
        assert len(paths) == 6
        assert self.staging.path(Lease(TASK, 1)) == self.staging.path(Lease(TASK, 1))

    def test_the_folder_of_the_file_is_there(self) -> None:
        assert self._stage(1).read_bytes() == b'bits'

    def test_the_folder_of_a_task_holds_those_of_its_claims(self) -> None:
        claim = self.staging.folder(Lease(TASK, 1))
        task = self.staging.folder(Lease(TASK, 1), earlier=True)
        assert os.path.dirname(claim) == task
        assert os.path.dirname(self.staging.path(Lease(TASK, 1))) == claim

    def test_the_tasks_that_have_staged_something_are_known(self) -> None:
        assert self.staging.task_ids() == []
        self._stage(1)
        self._stage(2)
        self._stage(1, task_id=OTHER)
        assert sorted(self.staging.task_ids()) == [TASK, OTHER]

    def test_removing_a_claim_leaves_the_others(self) -> None:
        first, second = self._stage(1), self._stage(2)
        self.staging.remove(Lease(TASK, 2))
        assert first.exists()
        assert not second.exists()

    def test_earlier_claims_can_be_removed_too(self) -> None:
        paths = [self._stage(1), self._stage(2)]
        other = self._stage(1, task_id=OTHER)
        self.staging.remove(Lease(TASK, 2), earlier=True)
        assert [path.exists() for path in paths] == [False, False]
        assert other.exists()

    @pytest.mark.parametrize('earlier', [False, True])
    def test_a_later_claim_is_never_removed(self, earlier: bool) -> None:
        later = self._stage(10)
        self._stage(9)
        self.staging.remove(Lease(TASK, 9), earlier=earlier)
        assert later.exists()

    @pytest.mark.parametrize('earlier', [False, True])
    def test_removing_twice_is_no_error(self, earlier: bool) -> None:
        self._stage(1)
        for _ in range(2):
            self.staging.remove(Lease(TASK, 1), earlier=earlier)

    def test_there_is_nothing_to_take_over_without_a_checkpoint(self) -> None:
        assert self.staging.take_over(Lease(TASK, 1), None) is None
        self._stage(1)
        assert self.staging.take_over(Lease(TASK, 2), None) is None

    @pytest.mark.parametrize('predecessor', [None, 'may-live'])
    def test_what_was_received_durably_is_taken_over(self, predecessor: str | None) -> None:
        earlier = self._stage(1)
        self.note(self.staging, Lease(TASK, 1), RECEIVED)
        taken = self.staging.take_over(Lease(TASK, 2), predecessor)
        assert taken is not None
        assert (taken.offset, taken.size, taken.validator) == (3, 9, '"v1"')
        bits = pathlib.Path(self.staging.path(Lease(TASK, 2))).read_bytes()
        assert bits[:3] == b'bit'
        assert not earlier.exists()

    def test_what_a_later_claim_received_is_not_taken_over(self) -> None:
        later = self._stage(3)
        self.note(self.staging, Lease(TASK, 3), RECEIVED)
        assert self.staging.take_over(Lease(TASK, 2), None) is None
        assert later.exists()
