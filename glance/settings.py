"""The configuration as the objects that the other rooms take."""

import logging

from oslo_config import cfg

from glance.domain import image
from glance.domain.import_filter import ImportFilter

LOG = logging.getLogger(__name__)


def import_filter(conf: cfg.ConfigOpts) -> ImportFilter:
    """The filter of import sources. Logs a warning for each option without effect."""
    section = conf.import_filtering_opts
    made = ImportFilter(
        **{
            f'{kind}_{what}': tuple(getattr(section, f'{kind}_{what}'))
            for kind in ('allowed', 'disallowed')
            for what in ('schemes', 'hosts', 'ports')
        },
        allowed_networks=tuple(section.allowed_networks),
    )
    for sentence in made.ignored():
        LOG.warning('%s', sentence)
    return made


def file_arguments(conf: cfg.ConfigOpts) -> list[str]:
    """The command-line arguments that name the same configuration files."""
    files = [word for path in conf.config_file or () for word in ('--config-file', path)]
    folders = [word for path in conf.config_dir or () for word in ('--config-dir', path)]
    return files + folders


def image_limits(conf: cfg.ConfigOpts) -> image.Limits:
    """What the properties and tags of an image may be."""
    return image.Limits(
        container_formats=tuple(conf.image_format.container_formats),
        disk_formats=tuple(conf.image_format.disk_formats),
        property_quota=conf.image_property_quota,
        tag_quota=conf.image_tag_quota,
    )
