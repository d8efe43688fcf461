"""A toolbox for steps that need no tool but the queue and the runs."""

import typing

from glance.domain.import_filter import ImportFilter
from glance.interfaces.executor import RunControl
from glance.interfaces.queue import TaskQueue
from glance.interfaces.store import Stores
from glance.testing.fakes.byte_pool import FakeBytePool
from glance.testing.fakes.images import FakeImageRepository
from glance.testing.fakes.resolver import FakeResolver
from glance.testing.fakes.staging import FakeStaging
from glance.testing.fakes.store import FakeStore
from glance.toolbox import Toolbox


def fake_toolbox(queue: TaskQueue, runs: RunControl, **tools: typing.Any) -> Toolbox:
    """A Toolbox of fakes around this queue.

    tools  other tools by their names in Toolbox, in place of the fakes
    """
    fakes: dict[str, typing.Any] = {
        'images': FakeImageRepository(queue.verify_lease),
        'stores': Stores({'memory': FakeStore()}, default='memory'),
        'staging': FakeStaging('/nonexistent'),
        'import_filter': ImportFilter(),
        'resolver': FakeResolver(),
        'byte_threads': FakeBytePool(),
    }
    return Toolbox(queue=queue, runs=runs, **(fakes | tools))
