"""The tools of this process, for steps: our one deliberate global.

Steps take plain data and find their tools here, so that an engine on another
host can build them from nothing but their name. bootstrap fills it once.
"""

import collections.abc
import dataclasses

from glance import interfaces
from glance.domain.import_filter import ImportFilter


@dataclasses.dataclass(frozen=True)
class FetchLimits:
    """What bounds a fetch, and the way it takes. Times in seconds, sizes in bytes.

    The parameters of image_data.sources.open(), by their names.
    """

    size_cap: int
    connect_timeout: float
    read_timeout: float
    total_timeout: float = 0  # 0: no limit
    minimum_rate: int = 0  # bytes per second
    proxy: str | None = dataclasses.field(default=None, repr=False)
    ca_file: str | None = None


@dataclasses.dataclass(frozen=True)
class FormatRules:
    """How content is checked against disk_format ([image_format])."""

    require_match: bool
    vmdk_allowed_types: tuple[str, ...]
    gpt_safety_checks_nonfatal: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Toolbox:
    queue: interfaces.TaskQueue
    images: interfaces.ImageRepository
    stores: collections.abc.Mapping[str, interfaces.ImageStore]
    staging: interfaces.Staging
    runs: interfaces.Runs
    import_filter: ImportFilter
    resolver: interfaces.Resolver
    fetch_limits: FetchLimits
    format_rules: FormatRules
    byte_threads: object  # threads.NativePool


_toolbox: Toolbox | None = None


def fill(toolbox: Toolbox | None) -> None:
    """Put the tools of this process in; None empties it, between tests."""
    global _toolbox
    _toolbox = toolbox


def current() -> Toolbox:
    if _toolbox is None:
        raise RuntimeError('The toolbox is empty: bootstrap fills it before a step runs.')
    return _toolbox
