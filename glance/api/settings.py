"""The options that requests are answered by, read once."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Settings:
    """oslo.config looks an option up anew each time it is asked, which a request would feel.

    base  scheme, host and path under which clients reach us; None: as they say
    """

    base: str | None
    page: int
    longest_page: int
    container_formats: tuple[str, ...]
    disk_formats: tuple[str, ...]


def of(conf):
    return Settings(
        base=conf.public_endpoint.rstrip('/') if conf.public_endpoint else None,
        page=min(conf.limit_param_default, conf.api_limit_max),
        longest_page=conf.api_limit_max,
        container_formats=tuple(conf.image_format.container_formats),
        disk_formats=tuple(conf.image_format.disk_formats),
    )
