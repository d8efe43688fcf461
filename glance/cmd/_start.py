"""What every command does first: read the configuration, and set up the log.

glance.threads.use() must be called before this module is imported.
"""

import collections.abc
import contextlib
import importlib.metadata
import io
import logging
import math
import re
import sys

from oslo_config import cfg
from oslo_log import log

from glance import bootstrap, database, plugins, tried_versions
from glance import conf as options
from glance.cmd import _config_files, _files, _log_masking, _values
from glance.domain import errors
from glance.folders import Folders

LOG = logging.getLogger(__name__)

# Tasks are handed back these seconds before graceful_shutdown_timeout is over.
HAND_BACK_MARGIN = 5

DISTRIBUTION = 'glance-taskflow'

_CONTEXT_FORMAT = (
    '%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(name)s '
    '[%(request_id)s %(resource_uuid)s] %(message)s'
)
_LOG_LEVELS = (
    'alembic=WARN',
    'eventlet=WARN',
    # It logs an error with a traceback for each connection that breaks before it is given back.
    # What an outage is, glance.db.outages says in one line.
    'sqlalchemy.pool=CRITICAL',
)
_PLAIN_FORMAT = '%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(name)s [- -] %(message)s'


def configure(
    program: str,
    argv: collections.abc.Sequence[str] | None = None,
    *,
    cli_opts: collections.abc.Sequence[cfg.Opt] = (),
    runs_tasks: collections.abc.Callable[[cfg.ConfigOpts], bool] = lambda conf: False,
) -> cfg.ConfigOpts:
    """Read and check the configuration of a command, and set up its log.

    runs_tasks  runs_tasks(conf): whether the command runs tasks, so that it needs the
                options of the executor

    Raises ConfigError with the option, the value and the file if something is wrong.
    """
    conf = _read(program, argv, cli_opts)
    _values.require_of_libraries(conf)
    try:
        log.setup(conf, 'glance')
    except Exception as error:  # of whatever kind: logging and its handlers have many
        reason = f'{error.filename}: {error.strerror}' if isinstance(error, OSError) else error
        raise errors.ConfigError(
            f'The log cannot be set up{_config_files.of_log(conf)}: {reason}'
        ) from None
    _log_masking.mask_handlers()
    for sentence in check(conf, executor=runs_tasks(conf)):
        LOG.warning('%s', sentence)
    tried_versions.warn()
    return conf


def reload(
    conf: cfg.ConfigOpts,
    program: str,
    argv: collections.abc.Sequence[str] | None,
    runs_tasks: collections.abc.Callable[[cfg.ConfigOpts], bool],
    cli_opts: collections.abc.Sequence[cfg.Opt] = (),
) -> bool:
    """Read the configuration files again. Returns False if they are unusable; nothing changes.

    The parameters are those of configure().
    """
    try:
        # Tried on another conf: oslo.config would keep what it read, usable or not.
        trial = _read(program, argv, cli_opts)
        _values.require_of_libraries(trial)
        check(trial, executor=runs_tasks(trial))
        changed = conf.mutate_config_files()
    except (Exception, SystemExit) as error:  # whatever it is, the process goes on
        LOG.error(
            'The configuration stays as it was: %s', error, extra={'action': 'reload_refused'}
        )
        return False
    _log_masking.mask_handlers()  # log_config_append may have brought others
    names = ', '.join(sorted(f'[{group or "DEFAULT"}] {name}' for group, name in changed))
    LOG.info(
        'The configuration was read again%s',
        f'; changed: {names}' if names else '',
        extra={'action': 'reloaded'},
    )
    return True


def _read(
    program: str,
    argv: collections.abc.Sequence[str] | None,
    cli_opts: collections.abc.Sequence[cfg.Opt] = (),
) -> cfg.ConfigOpts:
    """The configuration of a command line and its files. Raises ConfigError."""
    default = _files.defaults()
    found = _files.read_all(program, argv, default)
    conf = cfg.ConfigOpts()
    bootstrap.register_opts(conf)
    log.register_options(conf)
    conf.register_cli_opts(cli_opts)
    conf.set_default('use_stderr', True)
    conf.set_default('logging_context_format_string', _CONTEXT_FORMAT)
    conf.set_default('logging_default_format_string', _PLAIN_FORMAT)
    conf.set_default('default_log_levels', [*log.get_default_log_levels(), *_LOG_LEVELS])
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            conf(
                argv,
                project='glance',
                prog=program,
                version=importlib.metadata.version(DISTRIBUTION),
                default_config_files=default.files,
                default_config_dirs=default.folders,
            )
        print(said.getvalue(), end='', file=sys.stderr)
    except SystemExit as error:
        if error.code == 1:  # not of the command line, but a value in a file
            raise _wrong_value(said.getvalue(), found) from None
        print(said.getvalue(), end='', file=sys.stderr)
        raise
    except cfg.NoSuchOptError as error:
        raise _wrong_dollar(error.opt_name, found) from None
    except (cfg.Error, OSError) as error:
        raise errors.ConfigError(f'The configuration cannot be read: {error}') from None
    return conf


def _wrong_dollar(name: str, found: list[tuple[str, _files.Sections]]) -> errors.ConfigError:
    """The error for a value that refers to an option that does not exist.

    found  (file, sections) of all files
    """
    where = next(
        (
            f'[{section}] {option} in {file}'
            for file, sections in reversed(found)
            for section, values in sections.items()
            for option, texts in values.items()
            if re.search(rf'\$\{{?{re.escape(name)}', texts[-1])
        ),
        'The configuration',
    )
    return errors.ConfigError(f'{where} cannot be used: {_values.DOLLAR}.')


def _wrong_value(said: str, found: list[tuple[str, _files.Sections]]) -> errors.ConfigError:
    """The error for what oslo.config says of an option that the command line has, too.

    found  (file, sections) of all files
    """
    parsed = re.match(r'argument --(\w+): (.*)', said, re.DOTALL)
    name = parsed[1] if parsed else '?'
    for file, sections in reversed(found):
        values = sections.get('DEFAULT', {})
        for spelling in (name, name.replace('_', '-')):
            if spelling in values:
                return errors.ConfigError(
                    f'[DEFAULT] {spelling} = {values[spelling][-1]} in {file} cannot be used.'
                )
    return errors.ConfigError(f'The configuration cannot be read: {said.strip()}')


def check(conf: cfg.ConfigOpts, *, executor: bool) -> list[str]:
    """Check all values, those of plug-ins included. Returns a sentence for each doubtful one.

    executor  whether to check the options of the executor, too

    Raises ConfigError with the option, the value and the file if one cannot be used.
    """
    _config_files.require_usable(conf)
    own = options.list_opts()
    _values.require_all(conf, own)  # they say which plug-ins there are
    of_plugins = bootstrap.register_plugin_opts(conf, executor=executor)
    _values.require_all(conf, of_plugins)
    return list(_config_files.doubts(conf, [*own, *of_plugins]))


@contextlib.contextmanager
def errors_explained(what: str = 'The start') -> collections.abc.Iterator[None]:
    """Turn whatever ends a command into a ConfigError. The log has the traceback at debug.

    what  has failed, in the message
    """
    try:
        yield
    except errors.GlanceError:
        raise
    except Exception as error:
        LOG.debug('%s failed', what, exc_info=True)
        reason = _log_masking.mask_text(str(getattr(error, 'orig', None) or error)).strip()
        raise errors.ConfigError(
            f'{what} failed: {reason or type(error).__name__} '
            '(with debug = true the log says where).'
        ) from None


def grace(conf: cfg.ConfigOpts) -> float:
    """Seconds that tasks get to end before they are handed back. math.inf is no limit."""
    timeout = conf.graceful_shutdown_timeout
    return max(0, timeout - HAND_BACK_MARGIN) if timeout else math.inf


def log_paths(conf: cfg.ConfigOpts, folders: Folders, *, staging: bool = True) -> None:
    """Log the folders and the database of this process."""
    stores = folders.stores.stores
    LOG.info(
        'State in %s, images in %s%s, database %s',
        folders.state,
        ', '.join(
            str(store.folder or store.name)
            + (' (default)' if len(stores) > 1 and store.name == folders.stores.default else '')
            for store in stores
        ),
        f', staging in {folders.staging}' if staging else '',
        database.shown_database(conf, folders),
    )


def log_executor(conf: cfg.ConfigOpts, where: str) -> None:
    """Log which executor runs tasks, and where."""
    name = conf.task.task_executor
    description = plugins.executor_class(name).describe(conf)
    LOG.info(
        'Tasks are run by %s%s, in %s', name, f' ({description})' if description else '', where
    )


def fail(program: str, error: Exception) -> int:
    """Print in one sentence why the command cannot do its work; returns its exit status."""
    print(f'{program}: {_log_masking.mask_text(str(error))}', file=sys.stderr)
    return 1
