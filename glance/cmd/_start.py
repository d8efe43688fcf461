"""What every command does first: read the configuration, set up the log.

To be imported after glance.threads.use().
"""

import logging
import math
import os
import resource
import sys

from oslo_config import cfg
from oslo_log import log

from glance import bootstrap
from glance import conf as options
from glance.domain import errors

LOG = logging.getLogger(__name__)

# Past graceful_shutdown_timeout the process is killed; so much earlier tasks are handed back.
HAND_BACK_MARGIN = 5
MOST_FILES = 65536  # what the soft limit of open files is raised to, where it may be

_CONTEXT_FORMAT = (
    '%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(name)s '
    '[%(request_id)s %(resource_uuid)s] %(message)s'
)
_PLAIN_FORMAT = '%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(name)s [- -] %(message)s'


def configure(program, argv=None, *, cli_opts=()):
    """The configuration of a command, read, checked, its log set up.

    Raises ConfigError, naming option, value and file, for what is wrong in it.
    """
    conf = cfg.ConfigOpts()
    bootstrap.register_opts(conf)
    log.register_options(conf)
    conf.register_cli_opts(cli_opts)
    conf.set_default('use_stderr', True)
    conf.set_default('logging_context_format_string', _CONTEXT_FORMAT)
    conf.set_default('logging_default_format_string', _PLAIN_FORMAT)
    conf.set_default(
        'default_log_levels', [*log.get_default_log_levels(), 'alembic=WARN', 'eventlet=WARN']
    )
    folder = os.environ.get('OS_GLANCE_CONFIG_DIR')
    try:
        conf(
            argv,
            project='glance',
            prog=program,
            default_config_files=_files_in(folder)
            if folder
            else cfg.find_config_files(project='glance', prog='glance-api'),
            default_config_dirs=cfg.find_config_dirs(project='glance', prog='glance-api'),
        )
    except cfg.ConfigFilesNotFoundError as error:
        raise errors.ConfigError(
            f'The configuration file {", ".join(error.config_files)} does not exist.'
        ) from None
    except (cfg.Error, OSError) as error:
        raise errors.ConfigError(f'The configuration cannot be read: {error}') from None
    _check_values(conf)
    try:
        log.setup(conf, 'glance')
    except (OSError, log.LogConfigError) as error:
        raise errors.ConfigError(f'The log cannot be set up: {error}') from None
    for sentence in _unknown(conf):
        LOG.warning('%s', sentence)
    return conf


def allow_files():
    """Raise the soft limit of open files; returns what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return soft


def grace(conf):
    """Seconds that tasks get to end before they are handed back; a timeout of 0 is none."""
    timeout = conf.graceful_shutdown_timeout
    return max(0, timeout - HAND_BACK_MARGIN) if timeout else math.inf


def say_where(conf, folders, *, staging=True):
    """Log where this process keeps things."""
    LOG.info(
        'State in %s, images in %s%s, database %s',
        folders.state,
        folders.images,
        f', staging in {folders.staging}' if staging else '',
        bootstrap.shown_database(conf, folders),
    )


def say_who(conf, where):
    """Log what runs tasks, and where."""
    LOG.info(
        'Tasks are run by %s%s, in %s',
        conf.task.task_executor,
        f' ({conf.taskflow_executor.engine_mode})'
        if conf.task.task_executor == 'taskflow'
        else '',
        where,
    )


def fail(program, error):
    """Say in one sentence why the command cannot do its work; returns its exit status."""
    print(f'{program}: {error}', file=sys.stderr)
    return 1


def _files_in(folder):
    return [
        path
        for path in (
            os.path.join(folder, name) for name in ('glance-api.conf', 'glance-image-import.conf')
        )
        if os.path.exists(path)
    ]


def _check_values(conf):
    """Read every option of ours once: oslo.config finds a wrong value only then."""
    for group, opts in options.list_opts():
        for opt in opts:
            try:
                (conf if group.name == 'DEFAULT' else conf[group.name])[opt.dest]
            except cfg.ConfigFileValueError as error:
                value, file = _written(conf, group.name, opt)
                raise errors.ConfigError(
                    f'[{group.name}] {opt.name} = {value} in {file} cannot be used: '
                    f'{_reason(error)}.'
                ) from None


def _reason(error):
    """What oslo.config says is wrong, without what our sentence says better."""
    return str(error).rpartition('is not valid: ')[2].rstrip('.')


def _sections(conf):
    """(file, sections) for each configuration file that was read, the last one first."""
    for file in reversed(conf.config_file or []):
        sections = {}
        cfg.ConfigParser(file, sections).parse()
        yield file, sections


def _written(conf, group, opt):
    names = {(group, opt.dest), (group, opt.name)} | {
        (old.group or group, old.name) for old in opt.deprecated_opts
    }
    for file, sections in _sections(conf):
        for section, name in names:
            if name in sections.get(section, {}):
                return sections[section][name][-1], file
    return '?', 'the configuration'


def _unknown(conf):
    """A sentence for each option in the files that nothing will read, in sections of ours.

    In [DEFAULT] stand options of many libraries and of other releases, so there
    a name has to be close to one of ours to be taken for a typing error.
    """
    import difflib

    for group, opts in options.list_opts():
        known = {name for opt in opts for name in (opt.name, opt.dest)}
        for file, sections in _sections(conf):
            for name, values in sections.get(group.name, {}).items():
                if name in known or (name in conf and group.name == 'DEFAULT'):
                    continue
                close = difflib.get_close_matches(name, known, 1, 0.8)
                if group.name == 'DEFAULT' and not close:
                    continue
                hint = f'; did you mean {close[0]}?' if close else '.'
                yield f'[{group.name}] {name} = {values[-1]} in {file} is not an option{hint}'
