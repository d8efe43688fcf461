"""Does each staging area keep the promises of Staging?"""

from glance.image_data import checkpoints
from glance.image_data.staging import FolderStaging
from glance.testing.contracts.staging import StagingContract
from glance.testing.fakes.staging import FakeStaging


class TestFake(StagingContract):
    def make_staging(self, folder):
        return FakeStaging(folder)

    def note(self, staging, lease, checkpoint):
        staging.checkpoints[lease] = checkpoint


class TestFolder(StagingContract):
    def make_staging(self, folder):
        return FolderStaging(str(folder))

    def note(self, staging, lease, checkpoint):
        checkpoints.write(staging.path(lease), checkpoint)
