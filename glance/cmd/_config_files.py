"""What stands in the configuration files and is not read, or cannot be meant as it is read."""

import collections.abc
import difflib
import functools
import importlib.metadata

from oslo_config import cfg

from glance import enabled_stores
from glance.cmd import _files
from glance.domain import errors

Options = collections.abc.Sequence[tuple[cfg.OptGroup, list[cfg.Opt]]]

# The libraries that read options of their own, by the names of their entry points.
_LIBRARIES = ('oslo.log', 'oslo.middleware.healthcheck', 'oslo.policy')
# Those of oslo.service by name: its list cannot be had without choosing a kind of threads.
_OF_SERVICE = ('backdoor_port', 'backdoor_socket', 'graceful_shutdown_timeout', 'log_options')
# How [paste_deploy] flavor says that callers are to be identified.
_IDENTIFYING = ('keystone', 'trusted-auth')
_KINDS_OF_FILES = ('file', 'filesystem')


def sections(conf: cfg.ConfigOpts) -> collections.abc.Iterator[tuple[str, _files.Sections]]:
    """(file, sections) for each configuration file that was read, the last one first."""
    files = list(conf.config_file or [])
    for folder in conf.config_dir or []:
        files += _files.of_folder(folder)
    for file in reversed(files):
        yield file, _files.parse(file)


def written(conf: cfg.ConfigOpts, group: str, opt: cfg.Opt) -> tuple[str, str]:
    """(value, file) of an option, as it is written in the last file that has it.

    The value of a secret option is not shown.
    """
    for file, found in sections(conf):
        for section, name in _spellings(group, opt):
            if name in found.get(section, {}):
                return '***' if opt.secret else found[section][name][-1], file
    return '?', 'the configuration'


def require_usable(conf: cfg.ConfigOpts) -> None:
    """Raises ConfigError for options of other image services that cannot be ignored.

    Without what they ask for, everybody would be an administrator, or images would
    go where nobody looks for them.
    """
    flavor, file = _value(conf, 'paste_deploy', 'flavor')
    if any(part.startswith(_IDENTIFYING) for part in flavor.split('+')):
        raise errors.ConfigError(
            f'[paste_deploy] flavor = {flavor} in {file} asks that callers are identified, which '
            'this service cannot do yet: everybody who reaches it is an administrator. Remove '
            'the option if that is wanted.'
        )
    store, file = _value(conf, 'glance_store', 'default_store')
    if store and store not in _KINDS_OF_FILES and not conf.enabled_backends:
        raise errors.ConfigError(
            f'[glance_store] default_store = {store} in {file} is not read: images would go to '
            'a store for files. Name the stores in [DEFAULT] enabled_backends, and the one for '
            'new images in [glance_store] default_backend.'
        )


def doubts(conf: cfg.ConfigOpts, known: Options) -> collections.abc.Iterator[str]:
    """A sentence for each option that nothing reads, or for all of a section.

    known  the options that this service reads; those of its libraries are added

    The sentences show no values of options that nothing knows: they may be secrets.
    """
    names = _names(known)
    for file, found in sections(conf):
        for section, values in found.items():
            unknown = values.keys() - names.get(section.lower(), {}).keys()
            if unknown and unknown - _of_libraries().get(section.lower(), {}).keys():
                yield from _of_section(conf, file, section, values, names)


def _of_section(
    conf: cfg.ConfigOpts,
    file: str,
    section: str,
    values: dict[str, list[str]],
    names: dict[str, dict[str, cfg.Opt]],
) -> collections.abc.Iterator[str]:
    read = names.get(section.lower(), {})
    of_libraries = _of_libraries().get(section.lower(), {})
    if not read and not of_libraries:
        yield _unread_section(conf, file, section, values)
        return
    unread = []
    for name in values:
        if name in read or name in of_libraries:
            continue
        close = difflib.get_close_matches(name, read, 1, 0.8)
        if close:
            opt = read[close[0]]
            value = '***' if opt.secret else values[name][-1]
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
    conf: cfg.ConfigOpts, file: str, section: str, values: collections.abc.Iterable[str]
) -> str:
    if enabled_stores.option_names(conf).intersection(values):
        return (
            f'[{section}] in {file} is the section of no store: "{section}" is not in '
            '[DEFAULT] enabled_backends.'
        )
    return f'[{section}] in {file} is a section that this service does not read: {_list(values)}.'


def _list(names: collections.abc.Iterable[str]) -> str:
    return ', '.join(sorted(names))


def _value(conf: cfg.ConfigOpts, section: str, name: str) -> tuple[str, str]:
    """(value in lower case, file) of an option that is not registered; '' if it is not set."""
    for file, found in sections(conf):
        for given, values in found.items():
            if given.lower() == section and name in values:
                return values[name][-1].strip('\'" ').lower(), file
    return '', ''


def _spellings(group: str, opt: cfg.Opt) -> set[tuple[str, str]]:
    """The (section, name) pairs by which a file can set an option."""
    return {(group, opt.dest), (group, opt.name)} | {
        (old.group or group, name)
        for old in opt.deprecated_opts
        for name in (old.name or opt.name, (old.name or opt.name).replace('-', '_'))
    }


def _names(known: Options) -> dict[str, dict[str, cfg.Opt]]:
    """The options by section, in lower case, and by each name that a file may use."""
    names: dict[str, dict[str, cfg.Opt]] = {'default': {}}
    for group, opts in known:
        names.setdefault(group.name.lower(), {})
        for opt in opts:
            for section, name in _spellings(group.name, opt):
                names.setdefault(section.lower(), {})[name] = opt
    return names


@functools.cache
def _of_libraries() -> dict[str, dict[str, cfg.Opt]]:
    """The options that the libraries read by themselves, by section and name as in _names()."""
    found = [(cfg.OptGroup('DEFAULT'), [cfg.Opt(name) for name in _OF_SERVICE])]
    for point in importlib.metadata.entry_points(group='oslo.config.opts'):
        if point.name in _LIBRARIES:
            for group, opts in point.load()():
                name = getattr(group, 'name', group) or 'DEFAULT'
                found.append((cfg.OptGroup(name), list(opts)))
    return _names(found)
