"""A task type: compute a digest of an image, and record it as a property of the image.

POST /v2/tasks {"type": "digest", "input": {"image_id": "..."}}
"""

import hashlib
import typing

from oslo_config import cfg

from glance import toolbox
from glance.domain import errors
from glance.domain.caller import Caller
from glance.domain.image import UUID, Status
from glance.domain.lease import Lease
from glance.interfaces.flow import Flow, Step
from glance.interfaces.task_type import ApiService, Plan, TaskType

CHUNK = 2**20  # bytes read between two reports of progress

GROUP = cfg.OptGroup('digest', title='The task type "digest"')
OPTIONS = [
    cfg.StrOpt(
        'algorithm',
        default='sha256',
        choices=['sha1', 'sha256', 'sha512'],
        help='Digest that new tasks compute.',
    )
]


class Digest(Step):
    """Read the bytes of the image.

    Needs     lease, image_id, algorithm
    Returns   digest, in hexadecimal
    """

    name = 'digest'
    provides = 'digest'

    def do(self, lease: Lease, image_id: str, algorithm: str) -> str:
        tools = toolbox.current()
        [location, *_others] = tools.images.locations(image_id) or [None]
        if location is None:
            raise errors.ImageGone(image_id)
        hasher, read = hashlib.new(algorithm), 0
        with tools.stores.of(location).open(location.url) as file:
            while data := file.read(CHUNK):
                # Hashing takes long, and would stop the other green threads.
                tools.byte_threads.submit(hasher.update, data).result()
                read += len(data)
                tools.runs.progress(lease, read)  # stops here if the task was cancelled
        return hasher.hexdigest()


class Record(Step):
    """The commit: the property of the image, and the success of the task.

    Needs     lease, image_id, algorithm, digest
    """

    name = 'record'
    commits = True

    def do(self, lease: Lease, image_id: str, algorithm: str, digest: str) -> None:
        tools = toolbox.current()
        update = tools.images.property_update(lease, image_id, {f'digest_{algorithm}': digest})
        tools.queue.finish(lease, {'image_id': image_id, algorithm: digest}, [update])


def nothing(*_args: object) -> None:
    """Discard and clean up: the steps leave nothing behind."""


class DigestImage(TaskType):
    """The task type."""

    flow = Flow('digest', 1, (Digest(), Record()), discard=nothing, cleanup=nothing)
    input_schema = {
        'type': 'object',
        'required': ['image_id'],
        'additionalProperties': False,
        'properties': {'image_id': {'type': 'string', 'pattern': f'^{UUID.pattern}$'}},
    }
    options = [(GROUP, OPTIONS)]

    def plan(self, given: dict[str, typing.Any], caller: Caller, service: ApiService) -> Plan:
        image_id = given['image_id']
        visible_to = None if caller.is_admin else caller.project_id
        image = service.images.get(image_id, visible_to=visible_to)
        if image.owner != caller.project_id and not caller.is_admin:
            raise errors.Forbidden(f'Image {image_id} belongs to another project.')
        if image.status != Status.ACTIVE:
            raise errors.Conflict(f'Image {image_id} is {image.status}; it has no bytes to read.')
        work = {'image_id': image_id, 'algorithm': service.conf.digest.algorithm}
        return Plan(work, image_id)
