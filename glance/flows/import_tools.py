"""What the steps of an import need besides the tools of the service."""

import dataclasses
import logging
import ssl
import typing

from glance import toolbox
from glance.domain import errors
from glance.domain.fetch_limits import FetchLimits
from glance.image_data import certificates

LOG = logging.getLogger(__name__)

TYPE = 'import'


@dataclasses.dataclass(frozen=True)
class FormatRules:
    """How the content of an image is compared with its disk_format ([image_format])."""

    require_match: bool
    vmdk_allowed_types: tuple[str, ...]
    gpt_safety_checks_nonfatal: tuple[str, ...]


@dataclasses.dataclass
class ImportTools:
    """The limits of a fetch, and the rules of formats. A reload may replace the limits."""

    fetch_limits: FetchLimits
    format_rules: FormatRules


def current() -> ImportTools:
    """The tools of this process."""
    tools: ImportTools = toolbox.of(TYPE)
    return tools


def from_conf(conf: typing.Any) -> ImportTools:
    """The tools as configured. Raises ConfigError if ca_file cannot be used."""
    tools = ImportTools(_fetch_limits(conf), _format_rules(conf))

    def adjust(conf: typing.Any, _changed: object) -> None:
        """Apply the options that may change while tasks run, to fetches that begin later."""
        try:
            tools.fetch_limits = _fetch_limits(conf)
        except errors.ConfigError as error:
            LOG.error(
                'The options for fetching sources stay as they were: %s',
                error,
                extra={'action': 'reload_refused'},
            )

    conf.register_mutate_hook(adjust)
    return tools


def _fetch_limits(conf: typing.Any) -> FetchLimits:
    section = conf.import_filtering_opts
    if section.ca_file:
        _check_certificates(section.ca_file)
    return FetchLimits(
        size_cap=conf.image_size_cap,
        connect_timeout=section.connect_timeout,
        read_timeout=section.read_timeout,
        total_timeout=section.total_timeout,
        minimum_rate=section.minimum_rate,
        proxy=section.proxy,
        ca_file=section.ca_file,
        retry_timeout=section.retry_timeout,
        retry_delay=section.retry_delay,
        retry_delay_max=section.retry_delay_max,
    )


def _check_certificates(ca_file: str) -> None:
    try:
        certificates.tls_context(ca_file)
    except ssl.SSLError:
        fact = 'has no certificates in PEM format'
    except OSError:
        fact = 'cannot be read'
    else:
        return
    raise errors.ConfigError(f'[import_filtering_opts] ca_file: {ca_file} {fact}.')


def _format_rules(conf: typing.Any) -> FormatRules:
    return FormatRules(
        require_match=conf.image_format.require_image_format_match,
        vmdk_allowed_types=tuple(conf.image_format.vmdk_allowed_types),
        gpt_safety_checks_nonfatal=tuple(conf.image_format.gpt_safety_checks_nonfatal),
    )
