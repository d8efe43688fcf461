"""The tools of this process, for steps. This is our one deliberate global.

Steps get plain data as arguments and find their tools here. An engine on another
host can therefore create a step from its name alone. bootstrap fills the toolbox
once.
"""

import collections.abc
import dataclasses
import typing

from glance.domain.import_filter import ImportFilter
from glance.interfaces.executor import RunControl
from glance.interfaces.queue import TaskQueue
from glance.interfaces.repositories import ImageRepository
from glance.interfaces.resolver import Resolver
from glance.interfaces.staging import Staging
from glance.interfaces.store import Stores


@dataclasses.dataclass(frozen=True)
class Toolbox:
    """The tools that steps may use.

    of_types  by task type: what its own tools() made
    """

    queue: TaskQueue
    images: ImageRepository
    stores: Stores
    staging: Staging
    runs: RunControl
    import_filter: ImportFilter
    resolver: Resolver
    byte_threads: typing.Any  # a native_threads.NativePool, which this room may not import
    of_types: collections.abc.Mapping[str, typing.Any] = dataclasses.field(default_factory=dict)


_toolbox: Toolbox | None = None


def fill(toolbox: Toolbox | None) -> None:
    """Set the tools of this process. None empties the toolbox, between tests."""
    global _toolbox
    _toolbox = toolbox


def of(task_type: str) -> typing.Any:
    """The own tools of a task type: what its tools() made in this process."""
    return current().of_types[task_type]


def current() -> Toolbox:
    """The tools of this process."""
    if _toolbox is None:
        raise RuntimeError('The toolbox is empty. bootstrap must fill it before a step runs.')
    return _toolbox
