"""The options, one file per section. conf is handed in, never bound at import."""

import importlib
import pkgutil

from oslo_config import cfg


def _sections():
    for module in pkgutil.iter_modules(__path__):
        if module.name.startswith('_'):
            continue
        yield importlib.import_module(f'{__name__}.{module.name}')


def register_opts(conf):
    """Register all of the service's own options on this conf."""
    for section in _sections():
        name = None
        if section.GROUP is not None:
            # A group of its own: values that are set on one conf would show in another.
            name = section.GROUP.name
            conf.register_group(cfg.OptGroup(name, title=section.GROUP.title))
        conf.register_opts(section.OPTS, group=name)


def list_opts():
    """All (group, options) pairs, for oslo-config-generator."""
    return [(section.GROUP or cfg.OptGroup('DEFAULT'), section.OPTS) for section in _sections()]
