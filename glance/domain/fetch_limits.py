"""The operator's limits for fetching a source, and the proxy and certificates to use."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class FetchLimits:
    """Times in seconds, sizes in bytes.

    size_cap         a larger file is refused
    connect_timeout  time in which one address of the host must accept a connection,
                     TLS handshake included
    read_timeout     longest silence of the source
    total_timeout    time for the whole fetch, redirects and retries included; 0 is no limit
    minimum_rate     bytes per second that the source must send while it is waited for
    proxy            http://[user:password@]host:port, or None; proxies named in the
                     environment are never used
    ca_file          certificates to trust in addition to the system's, or None
    rate_window      time of waiting over which the speed is measured; more if
                     read_timeout is longer
    tick             silence after which a run looks whether it should go on
    retry_timeout    time without a new byte after which a fetch is given up; 0: at the first
                     error. There is at least one retry
    retry_delay      time before the first retry; it doubles with each further one
    retry_delay_max  longest time before a retry, also if the source asks for more
    """

    size_cap: int
    connect_timeout: float
    read_timeout: float
    total_timeout: float = 0
    minimum_rate: int = 0
    proxy: str | None = dataclasses.field(default=None, repr=False)
    ca_file: str | None = None
    rate_window: float = 60.0
    tick: float = 2.0
    retry_timeout: float = 0
    retry_delay: float = 1.0
    retry_delay_max: float = 30.0
