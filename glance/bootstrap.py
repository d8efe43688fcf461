"""Puts the service together. No other module knows every concrete class."""

import collections.abc
import dataclasses
import logging
import typing

from oslo_config import cfg

from glance import conf as options
from glance import database, enabled_stores, plugins, settings, threads, toolbox
from glance.db import image_repository, task_queue, task_repository
from glance.domain import errors
from glance.domain.lease import DatabaseGone, Lease, LostLease
from glance.engine.lease_holders import LeaseHolder
from glance.engine.null_executor import NullExecutor
from glance.engine.sweeper import Sweeper
from glance.folders import Folders
from glance.image_data import files
from glance.image_data.resolving import SystemResolver
from glance.image_data.staging import FolderStaging
from glance.interfaces.executor import LogbookKind, TaskExecutor
from glance.interfaces.queue import TaskQueue
from glance.interfaces.repositories import ImageRepository, TaskRepository
from glance.interfaces.resolver import Resolver
from glance.interfaces.staging import Staging
from glance.interfaces.store import ImageStore, Stores
from glance.interfaces.task_type import ApiService, TaskType
from glance.services import Services
from glance.services.images import Images
from glance.services.tasks import Tasks

if typing.TYPE_CHECKING:
    from glance.engine.dir_logbook import DirLogbooks

LOG = logging.getLogger(__name__)
Part = typing.TypeVar('Part')

RESOLVER_THREADS = 4  # native threads of one process that resolve host names
SWEEPER_STOP_TIMEOUT = 2.0  # seconds to wait for a sweep that is under way


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


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options that every process of the service reads."""
    options.register_opts(conf)


def register_plugin_opts(
    conf: cfg.ConfigOpts, *, executor: bool
) -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """Register the options of plug-ins, once the configuration says which are used.

    executor  whether to register those of the executor, too

    Returns them as (group, options). Raises ConfigError for a plug-in that cannot be used.
    """
    having_options: dict[str, typing.Any] = {
        f'The options of the task type "{name}"': task_type
        for name, task_type in plugins.task_types().usable.items()
    }
    if executor:
        name = conf.task.task_executor
        having_options[f'The options of [task] task_executor = {name}'] = plugins.executor_class(
            name
        )
    found = []
    for what, plug_in in having_options.items():
        try:
            own = [(group, list(opts)) for group, opts in plug_in.options]
            plugins.register_opts(conf, own)
        except (cfg.Error, TypeError, ValueError, AttributeError) as error:
            raise errors.ConfigError(f'{what} cannot be used: {error}') from None
        found += own
    return [*found, *enabled_stores.register_opts(conf)]


def check_executor(conf: cfg.ConfigOpts, processes: int | None = None) -> None:
    """Raises ConfigError if tasks cannot be run as configured.

    processes  how many processes run tasks; None: as many as [DEFAULT] workers
    """
    name = conf.task.task_executor
    executor = plugins.executor_class(name)
    if executor.needs_green_threads and not threads.is_green():
        raise errors.ConfigError(
            f'[task] task_executor = {name} needs green threads, but this process uses native '
            'ones; choose another executor, or start the process with GLANCE_THREADS=green.'
        )
    with plugins.errors_named(f'[task] task_executor = {name}', executor):
        executor.check(conf, processes)
        executor.logbook_kind(conf)
        executor.describe(conf)


class SharedComponents:
    """The parts that the API and the runner of one process share."""

    def __init__(
        self, conf: cfg.ConfigOpts, folders: Folders, replacements: Replacements = NOTHING_REPLACED
    ) -> None:
        self.database = database.open_database(conf, folders)
        self.queue = _first(
            replacements.queue,
            lambda: task_queue.SqlTaskQueue(
                self.database, time_to_live=conf.task.task_time_to_live
            ),
        )
        self.tasks = _first(
            replacements.tasks, lambda: task_repository.SqlTaskRepository(self.database)
        )
        self.images = _first(
            replacements.images, lambda: image_repository.SqlImageRepository(self.database)
        )
        self.stores = _stores(replacements.stores, folders)
        self.import_filter = settings.import_filter(conf)
        self.resolver = _first(
            replacements.resolver, lambda: SystemResolver(size=RESOLVER_THREADS)
        )
        self.task_types = (
            plugins.task_types()
            if replacements.task_types is None
            else plugins.TaskTypes(replacements.task_types)
        )


def _first(replacement: Part | None, make: collections.abc.Callable[[], Part]) -> Part:
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


class Runner:
    """Runs the tasks of one process, and sweeps. It fills the toolbox of the steps."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        folders: Folders,
        parts: SharedComponents,
        replacements: Replacements = NOTHING_REPLACED,
    ) -> None:
        self.database = parts.database
        self.queue = parts.queue
        self._holder = LeaseHolder.register(folders.run)
        self._logbooks = folders.state / 'logbooks'
        self.sweeper = Sweeper(parts.images, parts.stores)
        make_executor: typing.Any = replacements.executor or plugins.executor_class(
            conf.task.task_executor
        )
        own_tools = plugins.own_tools(conf, parts.task_types.usable)
        flows = {name: parts.task_types.usable[name].flow for name in own_tools}
        self.executor: TaskExecutor = make_executor(
            conf,
            parts.queue,
            flows,
            self._holder.name,
            self._logbook(make_executor.logbook_kind(conf)),
        )
        toolbox.fill(
            toolbox.Toolbox(
                queue=parts.queue,
                images=parts.images,
                stores=parts.stores,
                staging=_first(
                    replacements.staging,
                    lambda: FolderStaging(str(folders.staging), self._holder.is_dead),
                ),
                runs=self.executor.runs,
                import_filter=parts.import_filter,
                resolver=parts.resolver,
                byte_threads=threads.NativePool(conf.task.byte_threads, 'bytes', niceness=10),
                of_types=own_tools,
            )
        )

    def _logbook(
        self, kind: LogbookKind | None
    ) -> collections.abc.Callable[..., typing.Any] | None:
        """logbook(claim, flow) for executors. None if finished steps are not saved."""
        if kind is None:
            return None
        # Both kinds of logbook import TaskFlow, which other executors do not need.
        if kind is LogbookKind.DIR:
            files.ensure_folder(str(self._logbooks), 'folder of the logbooks')
            return self._dir_logbooks()
        from glance.db.logbook import SqlLogbook

        return lambda claim, flow: SqlLogbook(self.database, claim.lease, flow)

    def _dir_logbooks(self) -> 'DirLogbooks':
        from glance.engine.dir_logbook import DirLogbooks

        return DirLogbooks(
            self._logbooks, verify_lease=self.queue.verify_lease, is_dead=self._holder.is_dead
        )

    def _is_queued(self, lease: Lease) -> bool:
        try:
            self.queue.outcome(lease)
        except LostLease:
            return False
        except DatabaseGone:
            pass  # nobody knows now; the next start looks again
        return True

    def start(self) -> None:
        """Free the tasks that dead processes of this host held, and begin to run tasks."""
        dead = self._holder.dead(self.queue.holders())
        if dead:
            freed = self.queue.expire(dead)
            LOG.info(
                'Freed %s tasks of %s processes that ended without handing them back',
                freed,
                len(dead),
                extra={'action': 'leases_freed'},
            )
        self._holder.sweep(self.queue.holders())
        if self._logbooks.is_dir() and any(self._logbooks.iterdir()):
            self._dir_logbooks().sweep(self._is_queued)
        self.executor.start()
        self.sweeper.start()

    def stop(self, grace: float = 0) -> None:
        """Stop running tasks, and close everything.

        A task that does not end within grace seconds is handed back to the queue.
        """
        self.executor.stop(grace)
        self.close()

    def close(self) -> None:
        """Release what a stopped runner still holds."""
        self.sweeper.stop(SWEEPER_STOP_TIMEOUT)
        self._holder.release()
        self.database.close()


class Application:
    """The service in one process: its WSGI application, and its runner if it runs tasks."""

    def __init__(
        self, conf: cfg.ConfigOpts, folders: Folders, replacements: Replacements = NOTHING_REPLACED
    ) -> None:
        from glance.api import app  # imports WebOb and policies, which a runner does not need

        parts = SharedComponents(conf, folders, replacements)
        self.database = parts.database
        self.queue = parts.queue
        self.runner = Runner(conf, folders, parts, replacements) if conf.task.conduct else None
        self.executor = self.runner.executor if self.runner else NullExecutor()
        service = ApiService(
            conf=conf,
            limits=settings.image_limits(conf),
            import_filter=parts.import_filter,
            resolver=parts.resolver,
            images=parts.images,
            stores=tuple(parts.stores),
            default_store=parts.stores.default,
        )
        self.services = Services(
            tasks=Tasks(
                parts.tasks,
                parts.queue,
                self.executor,
                parts.task_types.usable,
                service,
                parts.task_types.broken,
            ),
            images=Images(parts.images, parts.stores),
        )
        self.api = app.build(conf, self.services)

    def start(self) -> None:
        """Begin to run tasks, if this process runs tasks."""
        if self.runner:
            self.runner.start()

    def stop(self, grace: float = 0) -> None:
        """Stop running tasks, and close everything.

        A task that does not end within grace seconds is handed back to the queue.
        """
        self.executor.stop(grace)
        self.close()

    def close(self) -> None:
        """Release what a stopped application still holds."""
        (self.runner or self.database).close()


def build(conf: cfg.ConfigOpts, **replacements: typing.Any) -> Application:
    """The application, not started. Its folders and tables exist.

    replacements  parts to use in place of the usual ones: see Replacements

    Raises ConfigError for a configuration that cannot be served, TypeError for
    a replacement that is not known.
    """
    replaced = Replacements(**replacements)
    register_plugin_opts(conf, executor=conf.task.conduct and replaced.executor is None)
    if conf.task.conduct and replaced.executor is None:
        check_executor(conf)
    folders = Folders(conf, staging=conf.task.conduct)
    database.prepare_database(conf, folders)
    return Application(conf, folders, replaced)
