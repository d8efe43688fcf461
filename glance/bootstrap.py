"""Puts the service together; the only module that knows every concrete class."""

import contextlib
import fcntl
import logging
import os
import pathlib
import time
import uuid

import sqlalchemy as sa
import stevedore
from oslo_db import options as db_options

from glance import conf as options
from glance import threads, toolbox
from glance.db import (
    deployment,
    image_repository,
    migrations,
    sessions,
    task_queue,
    task_repository,
)
from glance.domain import errors, image
from glance.domain.import_filter import ImportFilter
from glance.domain.lease import DatabaseGone, LostLease
from glance.engine.elsewhere import Elsewhere
from glance.engine.owners import Owner
from glance.image_data import files, marks
from glance.image_data.resolving import SystemResolver
from glance.image_data.staging import FolderStaging
from glance.services import Services
from glance.services.images import Images
from glance.services.imports import Imports
from glance.services.tasks import Tasks
from glance.stores.filesystem import FilesystemStore

LOG = logging.getLogger(__name__)

STORE = 'filesystem'  # the one store there is so far
RESOLVER_THREADS = 4


def register_opts(conf):
    """Register the options that every process of the service reads on this conf."""
    options.register_opts(conf)
    conf.register_opts(db_options.database_opts, group='database')


class Folders:
    """Where things are kept: made if need be, and known to be writable.

    staging  whether the staging folder is needed, which only those who run tasks fill

    Raises ConfigError with the folder and the reason.
    """

    def __init__(self, conf, *, staging=True):
        self.state = _path(conf.state_path) or _default_state_path()
        self.images = _path(conf.glance_store.filesystem_store_datadir) or self.state / 'images'
        self.staging = _path(conf.task.work_dir) or self.state / 'staging'
        self.run = self.state / 'run'
        for name, folder in (
            ('state_path', self.state),
            ('state_path', self.run),
            ('filesystem_store_datadir', self.images),
            *([('work_dir', self.staging)] if staging else []),
        ):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                probe = folder / f'.probe-{uuid.uuid4().hex}'
                probe.write_bytes(b'1')  # a full disk lets files be made, but not filled
                probe.unlink()
            except OSError as error:
                raise errors.ConfigError(
                    f'{name}: {folder} cannot be written to: {error.strerror}.'
                ) from None

    def kept(self):
        """Option to folder, of those that are there and hold what the database names."""
        return {
            option: folder
            for option, folder in (
                ('filesystem_store_datadir', self.images),
                ('work_dir', self.staging),
            )
            if folder.is_dir()
        }


def _path(configured):
    return pathlib.Path(configured).absolute() if configured else None


def _default_state_path():
    home = os.environ.get('XDG_STATE_HOME') or pathlib.Path.home() / '.local' / 'state'
    return pathlib.Path(home) / 'glance'


def database_url(conf, folders):
    """The configured URL, or that of a file in the state folder."""
    return conf.database.connection or sa.URL.create(
        'sqlite', database=str(folders.state / 'glance.sqlite')
    )


def shown_database(conf, folders):
    """The database as it may stand in a log. Raises ConfigError."""
    try:
        return sa.make_url(database_url(conf, folders)).render_as_string(hide_password=True)
    except sa.exc.ArgumentError:
        raise errors.ConfigError('[database] connection is no address of a database.') from None


def open_database(conf, folders):
    return sessions.open_database(database_url(conf, folders))


def prepare_database(conf, folders):
    """Make sure that the tables are there: SQLite is brought up to date, others are checked.

    And that the folders are those of this database.

    Raises ConfigError for a database that cannot be served.
    """
    shown = shown_database(conf, folders)
    database = open_database(conf, folders)
    try:
        with _only_one(folders.run / 'migrate.lock'):
            kept = folders.kept()
            if database.dialect == 'sqlite':
                if migrations.version(database.engine) is None:
                    # Before the tables are made: who restores the database finds none.
                    marks.check(kept, None, used=False, database=shown)
                migrations.sync(database.engine)
            else:
                migrations.check(database.engine)
            made, used = deployment.identity(database.engine)
            marks.check(kept, made, used=used, database=shown)
    except sa.exc.SQLAlchemyError as error:
        raise errors.ConfigError(
            f'The database {shown} cannot be used: {getattr(error, "orig", error)}'
        ) from None
    finally:
        database.close()


@contextlib.contextmanager
def _only_one(path):
    """One process of this state folder at a time, so that two that start do not collide."""
    with open(path, 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def flows():
    """Task type to Flow, from the entry points."""
    manager = stevedore.ExtensionManager('glance.flows', on_load_failure_callback=_refuse)
    return {extension.name: extension.plugin() for extension in manager}


def executor_class(name):
    """The executor of that name. Raises ConfigError that lists the known ones."""
    manager = stevedore.ExtensionManager('glance.task_executors', on_load_failure_callback=_refuse)
    if name not in manager:
        raise errors.ConfigError(
            f'[task] task_executor = {name} is not known; there are '
            f'{", ".join(sorted(manager.names()))}.'
        )
    return manager[name].plugin


def check_executor(conf):
    """Raises ConfigError unless tasks can be run as configured."""
    executor_class(conf.task.task_executor)
    persistence = conf.taskflow_executor.persistence
    if conf.task.task_executor == 'taskflow' and persistence != 'sql' and conf.workers > 1:
        raise errors.ConfigError(
            f'[taskflow_executor] persistence = {persistence} is for one process, but [DEFAULT] '
            f'workers = {conf.workers}: nothing keeps several from writing for the same task. '
            'Choose persistence = sql, or workers = 1.'
        )


def _refuse(_manager, entry_point, error):
    raise errors.ConfigError(
        f'The plug-in {entry_point.name} ({entry_point.value}) cannot be loaded: {error}'
    )


class Parts:
    """What the API and a runner of one process share."""

    def __init__(self, conf, folders):
        self.database = open_database(conf, folders)
        self.queue = task_queue.SqlTaskQueue(
            self.database, time_to_live=conf.task.task_time_to_live
        )
        self.images = image_repository.SqlImageRepository(self.database)
        self.stores = {
            STORE: FilesystemStore(
                str(folders.images), file_perm=conf.glance_store.filesystem_store_file_perm
            )
        }
        self.import_filter = _import_filter(conf)
        self.resolver = SystemResolver(size=RESOLVER_THREADS)
        self.flows = flows()


class Runner:
    """What runs tasks in one process: its executor, and the tools of the steps."""

    def __init__(self, conf, folders, parts):
        self._database = parts.database
        self._queue = parts.queue
        self._owner = Owner.take(folders.run)
        self._logbooks = folders.state / 'logbooks'
        self.executor = executor_class(conf.task.task_executor)(
            conf, parts.queue, parts.flows, self._owner.name, self._logbook(conf)
        )
        toolbox.fill(
            toolbox.Toolbox(
                queue=parts.queue,
                images=parts.images,
                stores=parts.stores,
                staging=FolderStaging(str(folders.staging), self._owner.is_dead),
                runs=self.executor.runs,
                import_filter=parts.import_filter,
                resolver=parts.resolver,
                fetch_limits=_fetch_limits(conf),
                format_rules=_format_rules(conf),
                byte_threads=threads.NativePool(conf.task.byte_threads, 'bytes', niceness=10),
            )
        )

    def _logbook(self, conf):
        """logbook(claim, flow) for engines, or None to keep nothing."""
        if conf.task.task_executor != 'taskflow':
            return None
        if conf.taskflow_executor.persistence == 'memory':
            return None
        # These bring TaskFlow, which others do without.
        if conf.taskflow_executor.persistence == 'dir':
            files.own_folder(self._logbooks, 'folder of the logbooks')
            return self._dir_logbooks()
        from glance.db.logbook import SqlLogbook

        return lambda claim, flow: SqlLogbook(self._database, claim.lease, flow)

    def _dir_logbooks(self):
        from glance.engine.dir_logbook import DirLogbooks

        return DirLogbooks(self._logbooks, check=self._queue.check, is_dead=self._owner.is_dead)

    def _is_queued(self, lease):
        try:
            self._queue.outcome(lease)
        except LostLease:
            return False
        except DatabaseGone:
            pass  # then it is not known; the next start looks again
        return True

    def start(self):
        """Free what dead processes of this host held, and begin to run tasks."""
        dead = self._owner.dead(self._queue.owners())
        if dead:
            freed = self._queue.expire(dead)
            LOG.info(
                'Freed %s tasks of %s processes that ended without handing them back',
                freed,
                len(dead),
                extra={'action': 'leases_freed'},
            )
        self._owner.sweep(self._queue.owners())
        if self._logbooks.is_dir() and any(self._logbooks.iterdir()):
            self._dir_logbooks().sweep(self._is_queued)
        self.executor.start()

    def stop(self, grace=0):
        """Hand back what cannot end within so many seconds, and close everything."""
        self.executor.stop(grace)
        self.close()

    def close(self):
        """Give back what a stopped runner still holds."""
        self._owner.release()
        self._database.close()


class Application:
    """The service in one process: its WSGI application, and its runner if it conducts."""

    def __init__(self, conf, folders):
        from glance.api import app  # brings WebOb and policies, which runners do without

        parts = Parts(conf, folders)
        self._database = parts.database
        self._queue = parts.queue
        self._runner = Runner(conf, folders, parts) if conf.task.conduct else None
        self.executor = self._runner.executor if self._runner else Elsewhere()
        planners = {
            'import': Imports(_limits(conf), parts.import_filter, parts.resolver, store=STORE).work
        }
        self.services = Services(
            tasks=Tasks(
                task_repository.SqlTaskRepository(parts.database),
                parts.queue,
                self.executor,
                planners,
                {flow.type: flow.version for flow in parts.flows.values()},
            ),
            images=Images(parts.images, parts.stores),
        )
        self.api = app.build(conf, self.services)

    def start(self):
        """Begin to run tasks, if they are run here."""
        if self._runner:
            self._runner.start()

    def stop(self, grace=0):
        """Hand back what cannot end within so many seconds, and close everything."""
        self.executor.stop(grace)
        self.close()

    def close(self):
        """Give back what a stopped application still holds."""
        (self._runner or self._database).close()

    def ended(self, task_id, *, by, within=30.0):
        """The task, once it has ended; for tests and for callers in this process.

        Raises TimeoutError after so many seconds.
        """
        until = time.monotonic() + within
        while not (task := self.services.tasks.get(task_id, by=by)).ended:
            if time.monotonic() > until:
                raise TimeoutError(f'Task {task_id} is still {task.status}.')
            time.sleep(0.01)
        return task


def build(conf):
    """The application, its folders made and its tables there; not started.

    Raises ConfigError for a configuration that cannot be served.
    """
    if conf.task.conduct:
        check_executor(conf)
    folders = Folders(conf, staging=conf.task.conduct)
    prepare_database(conf, folders)
    return Application(conf, folders)


def _import_filter(conf):
    section = conf.import_filtering_opts
    import_filter = ImportFilter(
        **{
            f'{kind}_{what}': tuple(getattr(section, f'{kind}_{what}'))
            for kind in ('allowed', 'disallowed')
            for what in ('schemes', 'hosts', 'ports')
        },
        allowed_networks=tuple(section.allowed_networks),
    )
    for sentence in import_filter.ignored():
        LOG.warning('%s', sentence)
    return import_filter


def _limits(conf):
    return image.Limits(
        container_formats=tuple(conf.image_format.container_formats),
        disk_formats=tuple(conf.image_format.disk_formats),
        property_quota=conf.image_property_quota,
        tag_quota=conf.image_tag_quota,
    )


def _fetch_limits(conf):
    section = conf.import_filtering_opts
    if section.ca_file and not os.access(section.ca_file, os.R_OK):
        raise errors.ConfigError(
            f'[import_filtering_opts] ca_file: {section.ca_file} cannot be read.'
        )
    return toolbox.FetchLimits(
        size_cap=conf.image_size_cap,
        connect_timeout=section.connect_timeout,
        read_timeout=section.read_timeout,
        total_timeout=section.total_timeout,
        minimum_rate=section.minimum_rate,
        proxy=section.proxy,
        ca_file=section.ca_file,
    )


def _format_rules(conf):
    return toolbox.FormatRules(
        require_match=conf.image_format.require_image_format_match,
        vmdk_allowed_types=tuple(conf.image_format.vmdk_allowed_types),
        gpt_safety_checks_nonfatal=tuple(conf.image_format.gpt_safety_checks_nonfatal),
    )
