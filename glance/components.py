"""The parts that the API and the runner of one process share."""

import collections.abc
import dataclasses
import typing

from oslo_config import cfg

from glance import database, enabled_stores, native_threads, plugins, settings, toolbox
from glance.db import image_repository, task_queue, task_repository
from glance.folders import Folders
from glance.image_data.resolving import SystemResolver
from glance.interfaces.executor import RunControl
from glance.interfaces.queue import TaskQueue
from glance.interfaces.repositories import ImageRepository, TaskRepository
from glance.interfaces.resolver import Resolver
from glance.interfaces.staging import Staging
from glance.interfaces.store import ImageStore, Stores
from glance.interfaces.task_type import TaskType

Part = typing.TypeVar('Part')


@dataclasses.dataclass(frozen=True)
class Replacements:
    """Parts that a caller provides. None stands for the part that the configuration asks for.

    stores      by name, or Stores; of a plain mapping, the first is for new images
    task_types  by name
    executor    the class, a TaskExecutor
    """

    queue: TaskQueue | None = None
    tasks: TaskRepository | None = None
    images: ImageRepository | None = None
    stores: collections.abc.Mapping[str, ImageStore] | None = None
    resolver: Resolver | None = None
    task_types: collections.abc.Mapping[str, TaskType] | None = None
    staging: Staging | None = None
    executor: typing.Any = None


NOTHING_REPLACED = Replacements()


class SharedComponents:
    """The parts that the API and the runner of one process share."""

    def __init__(
        self, conf: cfg.ConfigOpts, folders: Folders, replacements: Replacements = NOTHING_REPLACED
    ) -> None:
        self.database = database.open_database(conf, folders)
        self.queue = first(
            replacements.queue,
            lambda: task_queue.SqlTaskQueue(
                self.database, time_to_live=conf.task.task_time_to_live
            ),
        )
        self.tasks = first(
            replacements.tasks, lambda: task_repository.SqlTaskRepository(self.database)
        )
        self.images = first(
            replacements.images, lambda: image_repository.SqlImageRepository(self.database)
        )
        self.stores = _stores(replacements.stores, folders)
        self.import_filter = settings.import_filter(conf)
        self.resolver = first(replacements.resolver, SystemResolver)
        self.task_types = (
            plugins.task_types()
            if replacements.task_types is None
            else plugins.TaskTypes(replacements.task_types)
        )


def fill_toolbox(
    conf: cfg.ConfigOpts,
    parts: SharedComponents,
    staging: Staging,
    runs: RunControl,
    own_tools: collections.abc.Mapping[str, typing.Any],
) -> None:
    """Give the steps of this process their tools.

    own_tools  by task type
    """
    toolbox.fill(
        toolbox.Toolbox(
            queue=parts.queue,
            images=parts.images,
            stores=parts.stores,
            staging=staging,
            runs=runs,
            import_filter=parts.import_filter,
            resolver=parts.resolver,
            byte_threads=native_threads.NativePool(conf.task.byte_threads, 'bytes', niceness=10),
            of_types=own_tools,
        )
    )


def first(replacement: Part | None, make: collections.abc.Callable[[], Part]) -> Part:
    """The replacement, or the usual part, which is only made if nothing replaces it."""
    return make() if replacement is None else replacement


def _stores(
    replacement: collections.abc.Mapping[str, ImageStore] | None, folders: Folders
) -> Stores:
    if replacement is None:
        return enabled_stores.open_stores(folders.stores)
    if isinstance(replacement, Stores):
        return replacement
    return Stores(replacement, default=next(iter(replacement)))
