"""Whether each value of the configuration can be used, found before anything uses it."""

import configparser
import math
import typing

from oslo_config import cfg
from oslo_service import opts as service_options

from glance import conf as options
from glance.cmd import _config_files
from glance.conf import _types
from glance.domain import errors
from glance.domain.import_filter import mask

# The largest number of an option without a limit of its own: timers and tables take it.
LARGEST = 2**31 - 1
# Options of libraries whose smallest number is not 0; the libraries have no limits.
_SMALLEST = {'log_rotate_interval': 1}
DOLLAR = 'a name follows its dollar sign, which is no option; a dollar sign is written $$'
_FORMATS = (
    'logging_context_format_string',
    'logging_default_format_string',
    'logging_debug_format_suffix',
    'logging_exception_prefix',
    'logging_user_identity_format',
)


def require_of_libraries(conf: cfg.ConfigOpts) -> None:
    """Check the options of libraries that the files have. Raises ConfigError.

    They are registered: from then on, conf has them.
    """
    service_options.register_service_opts(conf)
    own = _config_files.by_name(options.list_opts())
    for file, sections in _config_files.sections(conf):
        for section, values in sections.items():
            if section != 'DEFAULT' and section.lower() == 'default':
                continue
            for name in values.keys() - own.get(section.lower(), {}).keys():
                opt = _config_files.of_libraries().get(section.lower(), {}).get(name)
                if opt is not None:
                    _require_of_library(conf, section, opt, file)


def _require_of_library(conf: cfg.ConfigOpts, section: str, opt: cfg.Opt, file: str) -> None:
    group = 'DEFAULT' if section == 'DEFAULT' else section.lower()
    if opt.dest not in (conf if group == 'DEFAULT' or group not in conf else conf[group]):
        conf.register_opt(opt, group=None if group == 'DEFAULT' else group)
    value = require(conf, group, opt)
    smallest = _SMALLEST.get(opt.dest, 0)
    if opt.dest == 'log_rotate_interval' and conf.log_rotate_interval_type.lower() == 'weekday':
        smallest = 0  # Monday
    if _is_number(value) and value < smallest:
        raise _refused(conf, group, opt, f'it must be at least {smallest}')
    if opt.dest in _FORMATS:
        try:
            str(value) % _Zeros()
        except (TypeError, ValueError) as error:
            raise _refused(conf, group, opt, f'it is no format of log lines: {error}') from None
    if opt.dest == 'log_config_append' and value:
        _require_log_config(value)


class _Zeros(dict[str, int]):
    """A value for each name in a format of log lines, which both %s and %d take."""

    def __missing__(self, key: str) -> int:
        return 0


def require_all(conf: cfg.ConfigOpts, known: _config_files.Options) -> None:
    """Read each option once: oslo.config finds a wrong value only when it is read.

    Raises ConfigError with the section, the option, the value and the file.
    """
    for group, opts in known:
        for opt in opts:
            require(conf, group.name, opt)


def require(conf: cfg.ConfigOpts, group: str, opt: cfg.Opt) -> typing.Any:
    """The value of an option. Raises ConfigError if it cannot be used."""
    try:
        value = (conf if group == 'DEFAULT' else conf[group])[opt.dest]
    except cfg.NoSuchOptError:
        raise _refused(conf, group, opt, DOLLAR) from None
    except cfg.ConfigFileValueError as error:
        hidden = opt.secret and not isinstance(opt.type, _types.Url)
        raise _refused(conf, group, opt, '' if hidden else _reason(error)) from None
    if value is None and opt.default is not None:
        raise _refused(conf, group, opt, 'it is empty')
    if isinstance(value, float) and not math.isfinite(value):
        raise _refused(conf, group, opt, 'it is not a number with an end')
    if _is_number(value) and value > LARGEST and getattr(opt.type, 'max', None) is None:
        raise _refused(conf, group, opt, f'it must be at most {LARGEST}')
    return value


def _is_number(value: typing.Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reason(error: cfg.Error) -> str:
    """The reason in oslo.config's message. Our sentence has its own words for the rest."""
    return str(error).rpartition('is not valid: ')[2].rstrip('.')


def _refused(conf: cfg.ConfigOpts, group: str, opt: cfg.Opt, reason: str) -> errors.ConfigError:
    value, file = written(conf, group, opt)
    return errors.ConfigError(
        f'[{group}] {opt.name} = {value} in {file} cannot be used'
        f'{f": {reason}" if reason else ""}.'
    )


def written(conf: cfg.ConfigOpts, group: str, opt: cfg.Opt) -> tuple[str, str]:
    """(value, file) of an option, as it is written in the last file that has it.

    The value of a secret option is not shown.
    """
    for file, found in _config_files.sections(conf):
        for section, values in found.items():
            for given, name in _config_files.spellings(group, opt):
                same = section == given if given == 'DEFAULT' else section.lower() == given.lower()
                if same and name in values:
                    value = values[name][-1]
                    if isinstance(opt.type, _types.Url):
                        value = mask(value)
                    return '***' if opt.secret else value, file
    return '?', 'the configuration'


def _require_log_config(path: str) -> None:
    """Raises ConfigError for a log_config_append whose reading would leave no log at all."""
    parser = configparser.RawConfigParser()
    what = f'[DEFAULT] log_config_append = {path}'
    try:
        with open(path, encoding='utf-8') as file:
            parser.read_file(file)
    except OSError as error:
        raise errors.ConfigError(f'{what} cannot be read: {error.strerror}.') from None
    except (configparser.Error, ValueError):
        parser.clear()
    missing = {'loggers', 'handlers', 'formatters'} - {*parser.sections()}
    if missing:
        raise errors.ConfigError(
            f'{what} is no configuration of logging: it has no [{sorted(missing)[0]}].'
        )
