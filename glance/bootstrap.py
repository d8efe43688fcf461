"""Puts the service together. No other module knows every concrete class."""

import typing

from oslo_config import cfg

from glance import conf as options
from glance import database, enabled_stores, plugins, settings, threads
from glance.components import NOTHING_REPLACED, Replacements, SharedComponents
from glance.domain import errors
from glance.engine.null_executor import NullExecutor
from glance.folders import Folders
from glance.interfaces.task_type import ApiService
from glance.runner import Runner
from glance.services import Services
from glance.services.images import Images
from glance.services.tasks import Tasks

# Requests that may wait for the end of a task at a time. A native one holds one of the few
# threads of its server; a green one holds a connection.
WAITING_NATIVE = 2
WAITING_GREEN = 1000


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


class Application:
    """The service in one process: its WSGI application, and its runner if it runs tasks."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        folders: Folders,
        replacements: Replacements = NOTHING_REPLACED,
        *,
        has_children: bool = False,
    ) -> None:
        from glance.api import app  # imports WebOb and policies, which a runner does not need

        parts = SharedComponents(conf, folders, replacements)
        self.database = parts.database
        self.queue = parts.queue
        self.runner = (
            Runner(conf, folders, parts, replacements, has_children=has_children)
            if conf.task.conduct
            else None
        )
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
                waiting=_most_waiting(),
            ),
            images=Images(parts.images, parts.stores),
        )
        self.api = app.build(conf, self.services)

    def start(self) -> None:
        """Begin to run tasks, if this process runs tasks."""
        if self.runner:
            self.runner.start()

    def stop(self, grace: float = 0) -> None:
        """Stop running tasks, and close everything."""
        self.stop_tasks(grace)
        self.close()

    def stop_tasks(self, grace: float) -> None:
        """Stop running tasks, if this process runs tasks.

        A task that does not end within grace seconds is handed back to the queue. Requests
        that wait for the end of a task are answered now.
        """
        self.services.tasks.stop_waiting()
        if self.runner:
            self.runner.stop_tasks(grace)

    def close(self) -> None:
        """Release what a stopped application still holds."""
        (self.runner or self.database).close()


def _most_waiting() -> int:
    """How many requests of this process may wait for the end of a task at a time."""
    if not threads.is_green():
        return WAITING_NATIVE
    from glance.server.wsgi_server import most_connections

    return min(WAITING_GREEN, most_connections() // 2)


def build(
    conf: cfg.ConfigOpts, *, has_children: bool = False, **replacements: typing.Any
) -> Application:
    """The application, not started. Its folders and tables exist.

    has_children  as for Runner
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
    return Application(conf, folders, replaced, has_children=has_children)
