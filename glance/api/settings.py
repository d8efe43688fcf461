"""The options that requests need, read once."""

import dataclasses
import typing


@dataclasses.dataclass(frozen=True)
class Settings:
    """Values of options. oslo.config takes too long to look up an option in each request.

    base          the URL by which clients reach the service; None: as the request says
    page          items of a page where the request has no limit
    longest_page  items of a page at most
    """

    base: str | None
    page: int
    longest_page: int
    container_formats: tuple[str, ...]
    disk_formats: tuple[str, ...]


def from_conf(conf: typing.Any) -> Settings:
    return Settings(
        base=conf.public_endpoint.rstrip('/') if conf.public_endpoint else None,
        page=min(conf.limit_param_default, conf.api_limit_max),
        longest_page=conf.api_limit_max,
        container_formats=tuple(conf.image_format.container_formats),
        disk_formats=tuple(conf.image_format.disk_formats),
    )
