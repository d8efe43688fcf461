"""The options: one file per section. conf is always a parameter, never a global."""

import collections.abc
import importlib
import pkgutil
import types

from oslo_config import cfg


def _sections() -> collections.abc.Iterator[types.ModuleType]:
    for module in pkgutil.iter_modules(__path__):
        if module.name.startswith('_'):
            continue
        yield importlib.import_module(f'{__name__}.{module.name}')


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register all of the service's own options on this conf."""
    for section in _sections():
        name = None
        if section.GROUP is not None:
            # A new group for each conf: a shared one would carry values from one to another.
            name = section.GROUP.name
            conf.register_group(cfg.OptGroup(name, title=section.GROUP.title))
        conf.register_opts(section.OPTS, group=name)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """All (group, options) pairs, for oslo-config-generator."""
    return [(section.GROUP or cfg.OptGroup('DEFAULT'), section.OPTS) for section in _sections()]
