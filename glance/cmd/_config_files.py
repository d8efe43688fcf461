"""What stands in the configuration files and is not read, or cannot be meant as it is read."""

import collections.abc
import difflib
import functools
import importlib.metadata

from oslo_config import cfg

from glance import enabled_stores
from glance.cmd import _files
from glance.conf import _types
from glance.domain import errors

Options = collections.abc.Sequence[tuple[cfg.OptGroup, list[cfg.Opt]]]

# The libraries that read options of their own, by the names of their entry points.
_LIBRARIES = ('oslo.log', 'oslo.middleware.healthcheck', 'oslo.policy')
# Those of oslo.service: its list cannot be had without choosing a kind of threads.
_OF_SERVICE = [
    cfg.StrOpt('backdoor_port'),
    cfg.StrOpt('backdoor_socket'),
    cfg.IntOpt('graceful_shutdown_timeout', default=60),
    cfg.BoolOpt('log_options', default=True),
]
# What in a flavor of paste.deploy says that callers are to be identified.
_IDENTIFYING = ('keystone', 'trusted-auth')
# How the only kinds of stores are chosen without enabled_backends.
_STORES = ('default_store', 'stores', 'known_stores')
# Options at places where other services have them, or had them, that decide where data go.
_ELSEWHERE = {
    ('default', 'connection'): '[database] connection',
    ('default', 'sql_connection'): '[database] connection',
    ('database', 'sql_connection'): '[database] connection',
    ('default', 'filesystem_store_datadir'): '[glance_store] filesystem_store_datadir',
    ('default', 'default_backend'): '[glance_store] default_backend',
    ('glance_store', 'enabled_backends'): '[DEFAULT] enabled_backends',
    ('default', 'work_dir'): '[task] work_dir',
}


def sections(conf: cfg.ConfigOpts) -> collections.abc.Iterator[tuple[str, _files.Sections]]:
    """(file, sections) for each configuration file that was read, the last one first."""
    files = list(conf.config_file or [])
    for folder in conf.config_dir or []:
        files += _files.of_folder(folder)
    for file in reversed(files):
        yield file, _files.parse(file)


def require_usable(conf: cfg.ConfigOpts) -> None:
    """Raises ConfigError for options of other image services that cannot be ignored.

    Without what they ask for, everybody would be an administrator, or data would
    go where nobody looks for them.
    """
    seen = set()  # in a file that is read later, and decides
    for file, found in sections(conf):
        for given, values in found.items():
            for name, texts in values.items():
                if (given.lower(), name) not in seen:
                    seen.add((given.lower(), name))
                    value = texts[-1].strip('\'" ').lower()
                    _require_option(conf, (given, name, value, file))


def _require_option(conf: cfg.ConfigOpts, option: tuple[str, str, str, str]) -> None:
    """Raises ConfigError if one option cannot be ignored.

    option  section, name, value in lower case, file
    """
    given, name, value, file = option
    section = given.lower()
    if name == 'flavor' and section in ('paste_deploy', 'default'):
        if any(word in value for word in _IDENTIFYING):
            raise errors.ConfigError(
                f'[{given}] {name} = {value} in {file} asks that callers are identified, which '
                'this service cannot do yet: everybody who reaches it is an administrator. '
                'Remove the option if that is wanted.'
            )
    elif (section, name) in _ELSEWHERE:
        raise errors.ConfigError(
            f'[{given}] {name} in {file} is not read; write {_ELSEWHERE[section, name]} instead.'
        )
    elif name == 'filesystem_store_datadirs':
        raise errors.ConfigError(
            f'[{given}] {name} in {file} is not read; a store has one directory, which is its '
            'option filesystem_store_datadir.'
        )
    elif (
        name in _STORES
        and section in ('glance_store', 'default')
        and value
        and 'file' not in value
        and not conf.enabled_backends
    ):
        raise errors.ConfigError(
            f'[{given}] {name} = {value} in {file} is not read: images would go to a store '
            'for files. Name the stores in [DEFAULT] enabled_backends, and the one for new '
            'images in [glance_store] default_backend.'
        )


def of_log(conf: cfg.ConfigOpts) -> str:
    """ " with ... in FILE" for the options of the log that a file has; '' if there are none."""
    known = of_libraries()['default'].keys() - {opt.dest for opt in _OF_SERVICE}
    for file, found in sections(conf):
        if names := known.intersection(found.get('DEFAULT', {})):
            return f' with [DEFAULT] {_list(names)} in {file}'
    return ''


def doubts(conf: cfg.ConfigOpts, known: Options) -> collections.abc.Iterator[str]:
    """A sentence for each option that nothing reads, or for all of a section.

    known  the options that this service reads; those of its libraries are added

    The sentences show no values of options that nothing knows: they may be secrets.
    """
    names = by_name(known)
    for file, found in sections(conf):
        for section, values in found.items():
            if section != 'DEFAULT' and section.lower() == 'default':
                yield (
                    f'[{section}] in {file} is not read: {_list(values)}; did you mean [DEFAULT]?'
                )
                continue
            unknown = values.keys() - names.get(section.lower(), {}).keys()
            if unknown and unknown - of_libraries().get(section.lower(), {}).keys():
                yield from _of_section(conf, file, section, values, names)


def _of_section(
    conf: cfg.ConfigOpts,
    file: str,
    section: str,
    values: dict[str, list[str]],
    names: dict[str, dict[str, cfg.Opt]],
) -> collections.abc.Iterator[str]:
    read = names.get(section.lower(), {})
    by_libraries = of_libraries().get(section.lower(), {})
    if not read and not by_libraries:
        yield _unread_section(conf, file, section, values, names)
        return
    unread = []
    for name in values:
        if name in read or name in by_libraries:
            continue
        known = {**by_libraries, **read}
        plain = name.replace('-', '_')
        close = [plain] if plain in known else difflib.get_close_matches(name, known, 1, 0.8)
        if close:
            opt = known[close[0]]
            hidden = opt.secret or isinstance(opt.type, _types.Url)
            value = '***' if hidden else values[name][-1]
            yield (
                f'[{section}] {name} = {value} in {file} is not an option; '
                f'did you mean {close[0]}?'
            )
        else:
            unread.append(name)
    if unread:
        yield (
            f'[{section}] in {file} has options that this service does not read: {_list(unread)}.'
        )


def _unread_section(
    conf: cfg.ConfigOpts,
    file: str,
    section: str,
    values: collections.abc.Iterable[str],
    names: collections.abc.Iterable[str],
) -> str:
    close = difflib.get_close_matches(section.lower(), names, 1, 0.8)
    if close:
        meant = 'DEFAULT' if close[0] == 'default' else close[0]
        return f'[{section}] in {file} is not read: {_list(values)}; did you mean [{meant}]?'
    if enabled_stores.option_names(conf).intersection(values):
        return (
            f'[{section}] in {file} is the section of no store: "{section}" is not in '
            '[DEFAULT] enabled_backends.'
        )
    return f'[{section}] in {file} is a section that this service does not read: {_list(values)}.'


def _list(names: collections.abc.Iterable[str]) -> str:
    return ', '.join(sorted(names))


def spellings(group: str, opt: cfg.Opt) -> set[tuple[str, str]]:
    """The (section, name) pairs by which a file can set an option."""
    return {(group, opt.dest)} | {
        (old.group or group, name)
        for old in opt.deprecated_opts
        for name in (old.name or opt.name, (old.name or opt.name).replace('-', '_'))
    }


def by_name(known: Options) -> dict[str, dict[str, cfg.Opt]]:
    """The options by section, in lower case, and by each name that a file may use."""
    names: dict[str, dict[str, cfg.Opt]] = {'default': {}}
    for group, opts in known:
        names.setdefault(group.name.lower(), {})
        for opt in opts:
            for section, name in spellings(group.name, opt):
                names.setdefault(section.lower(), {})[name] = opt
    return names


@functools.cache
def of_libraries() -> dict[str, dict[str, cfg.Opt]]:
    """The options that the libraries read by themselves, by section and name as in by_name()."""
    found = [(cfg.OptGroup('DEFAULT'), _OF_SERVICE)]
    for point in importlib.metadata.entry_points(group='oslo.config.opts'):
        if point.name in _LIBRARIES:
            for group, opts in point.load()():
                name = getattr(group, 'name', group) or 'DEFAULT'
                found.append((cfg.OptGroup(name), list(opts)))
    return by_name(found)
