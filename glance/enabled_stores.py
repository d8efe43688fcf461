"""The stores that the configuration enables, and the choice of their plug-ins."""

import collections.abc
import contextlib
import dataclasses
import pathlib
import typing

from oslo_config import cfg

from glance import conf as options
from glance import plugins
from glance.conf import glance_store
from glance.domain import errors
from glance.interfaces.store import ImageStore, Stores

# The only store if the configuration enables none by name, and its kind.
ONLY_STORE = 'filesystem'
ONLY_KIND = 'file'

# Names that operators know as sections of other purposes.
RESERVED_PREFIXES = ('os_glance_', 'oslo_')
RESERVED_NAMES = ('database', 'healthcheck', 'keystone_authtoken', 'cors', 'profiler')

LONGEST_NAME = 255  # characters of the column image_locations.store
_EACH_STORE_NAMES = {opt.dest for opt in glance_store.EACH_STORE}


@dataclasses.dataclass(frozen=True)
class EnabledStore:
    """A store before it is opened.

    label   how messages call its folder
    folder  the local folder whose files the database names, if the store has one
    """

    name: str
    kind: type[ImageStore]
    section: typing.Any
    label: str
    folder: pathlib.Path | None


@dataclasses.dataclass(frozen=True)
class EnabledStores:
    """All stores of the configuration, and the name of the one for new images."""

    stores: collections.abc.Sequence[EnabledStore]
    default: str


def read(conf: cfg.ConfigOpts, state: pathlib.Path) -> EnabledStores:
    """The stores of a configuration. Raises ConfigError if they cannot be used.

    state  the folder for everything that has no folder of its own
    """
    enabled: dict[str, str] = conf.enabled_backends or {}
    register_opts(conf)
    default = conf.glance_store.default_backend
    if not enabled:
        if default not in (None, '', ONLY_STORE):
            raise errors.ConfigError(
                f'[glance_store] default_backend = {default} is not in [DEFAULT] '
                'enabled_backends, which is empty.'
            )
        section = conf.glance_store
        folder = section.filesystem_store_datadir or state / 'images'
        kind = plugins.store_class(ONLY_KIND)
        only = EnabledStore(
            ONLY_STORE, kind, section, 'filesystem_store_datadir', pathlib.Path(folder).absolute()
        )
        return EnabledStores([only], ONLY_STORE)
    if default not in enabled:
        names = ', '.join(enabled)
        raise errors.ConfigError(
            f'[glance_store] default_backend = {default} is not in [DEFAULT] enabled_backends; '
            f'there are {names}.'
            if default
            else '[DEFAULT] enabled_backends needs [glance_store] default_backend: the store '
            f'for new images, one of {names}.'
        )
    return EnabledStores([_enabled(conf, name) for name in enabled], default)


def _enabled(conf: cfg.ConfigOpts, name: str) -> EnabledStore:
    kind = plugins.store_class(conf.enabled_backends[name])
    section = conf[name]
    with _errors_named(name, kind):
        folder = kind.local_folder(name, section)
        path = pathlib.Path(folder).absolute() if folder else None
    return EnabledStore(name, kind, section, f'the folder of the store "{name}"', path)


def open_stores(enabled: EnabledStores) -> Stores:
    """Open the stores, in a process that uses them. Raises ConfigError."""
    return Stores(
        {one.name: _open(one) for one in enabled.stores},
        default=enabled.default,
        # The section of the only store has no such option.
        weights={one.name: getattr(one.section, 'weight', 0) for one in enabled.stores},
    )


def _open(one: EnabledStore) -> ImageStore:
    with _errors_named(one.name, one.kind):
        store = one.kind.from_conf(one.folder, one.section)
        if not isinstance(store, ImageStore):
            raise TypeError(f'from_conf() returned {type(store).__name__}, not an ImageStore')
    return store


def _errors_named(name: str, kind: type[ImageStore]) -> contextlib.AbstractContextManager[None]:
    return plugins.errors_named(f'[DEFAULT] enabled_backends: the store "{name}"', kind)


def option_names(conf: cfg.ConfigOpts) -> frozenset[str]:
    """The names of the options that sections of stores have."""
    kinds = {ONLY_KIND, *(conf.enabled_backends or {}).values()}
    opts = [opt for kind in kinds for opt in plugins.store_class(kind).options]
    return frozenset(opt.name for opt in [*glance_store.EACH_STORE, *opts])


def register_opts(conf: cfg.ConfigOpts) -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """Register the options of the sections of the enabled stores. Raises ConfigError.

    Returns them as (group, options).
    """
    _check_names(conf)
    sections = []
    for name, kind in (conf.enabled_backends or {}).items():
        chosen = plugins.store_class(kind)
        with _errors_named(name, chosen):
            group = cfg.OptGroup(name, title=f'The store "{name}"')
            sections.append((group, [*glance_store.EACH_STORE, *chosen.options]))
            plugins.register_opts(conf, sections[-1:])
    return sections


def _check_names(conf: cfg.ConfigOpts) -> None:
    """Raises ConfigError for the name of a store that cannot be the name of its section."""
    seen: dict[str, str] = {}
    for name in conf.enabled_backends or {}:
        other = seen.setdefault(name.lower(), name)  # case does not matter in names of sections
        if other != name:
            raise errors.ConfigError(
                f'[DEFAULT] enabled_backends: the names "{other}" and "{name}" differ only in '
                'case, so that both stores would have the same section.'
            )
        if len(name) > LONGEST_NAME:
            raise errors.ConfigError(
                f'[DEFAULT] enabled_backends: the name "{name[:30]}..." of a store has more than '
                f'{LONGEST_NAME} characters.'
            )
        if _is_reserved(conf, name):
            raise errors.ConfigError(
                f'[DEFAULT] enabled_backends: a store cannot have the name "{name}", which is '
                'reserved for the service.'
            )


def _is_reserved(conf: cfg.ConfigOpts, name: str) -> bool:
    sections = {group.name.lower() for group, _opts in options.list_opts()} | {*RESERVED_NAMES}
    if name.lower() in sections or name.lower().startswith(RESERVED_PREFIXES):
        return True
    if name not in conf:
        return False
    # An option of [DEFAULT] would be hidden by the section. A section that is registered is
    # one of a plug-in, unless it is the one of this store from an earlier call.
    found = conf[name]
    return not (isinstance(found, cfg.ConfigOpts.GroupAttr) and {*found} >= _EACH_STORE_NAMES)
