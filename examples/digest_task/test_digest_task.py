"""The task type keeps the promises of TaskType, and computes the right digest."""

import datetime
import hashlib

from glance_digest_task import DigestImage

from glance.domain.image import Image, Status
from glance.testing.contracts.task_type import TaskTypeContract

IMAGE = '3f0ac3ad-6b9c-4f3e-9c0c-0a54f0b0f6a1'
NOON = datetime.datetime(2020, 1, 1, 12, tzinfo=datetime.UTC)


class TestDigestImage(TaskTypeContract):
    def make_task_type(self):
        return DigestImage()

    def make_input(self):
        self.images.records[IMAGE] = Image(IMAGE, 'us', NOON, NOON, Status.ACTIVE)
        self.store_bytes(IMAGE, b'1234567890')
        return {'image_id': IMAGE}

    def test_the_digest_is_a_property_of_the_image(self):
        self.run()
        digest = hashlib.sha256(b'1234567890').hexdigest()
        assert self.images.get(IMAGE).properties == {'digest_sha256': digest}
