"""Connects to a checked IP address: plain or with TLS, directly or through a proxy.

The modules socket, select and ssl are those of the process, so in a green process
they are green.
"""

import dataclasses
import errno
import os
import select
import socket
import ssl
import time

from glance import interrupts
from glance.domain import own_lack
from glance.image_data.proxies import Proxy, ProxyFailed


@dataclasses.dataclass(frozen=True)
class Route:
    """Where to connect, whatever the host name resolves to now.

    ip     the checked address of the host; with a proxy, an address of the proxy
    host   the name that the certificate must have
    proxy  the Proxy to use, or None
    tls    the certificates to trust; None for a plain connection
    """

    ip: str
    host: str
    port: int
    proxy: Proxy | None
    tls: ssl.SSLContext | None


def connect(route: Route, seconds: float) -> socket.socket:
    """A connection that is ready for the request.

    seconds  time for all of it, TLS handshake included

    Raises OSError, ProxyFailed, EOFError.
    """
    until = time.monotonic() + seconds
    connected = open_socket(route, seconds)
    try:
        if route.tls is None:
            return connected
        if route.proxy is not None:
            route.proxy.open_tunnel(connected, route.host, route.port, until)
        connected = secure = route.tls.wrap_socket(
            connected,
            server_hostname=route.host,
            do_handshake_on_connect=False,
            # An attacker who cuts the connection must not make a part look like the whole file.
            suppress_ragged_eofs=False,
        )
        _handshake(secure, until)
        return secure
    except BaseException:
        connected.close()
        raise


def open_socket(route: Route, seconds: float) -> socket.socket:
    """A TCP connection to the IP address of a route."""
    until = time.monotonic() + seconds
    family = socket.AF_INET6 if ':' in route.ip else socket.AF_INET
    connected = socket.socket(family, socket.SOCK_STREAM)
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if route.proxy is None:
            _connect(connected, (route.ip, route.port), until)
        else:
            _connect_to_proxy(connected, (route.ip, route.proxy.port), until)
        connected.settimeout(seconds)
    except BaseException:
        connected.close()
        raise
    return connected


def _connect(connected: socket.socket, address: tuple[str, int], until: float) -> None:
    """Connect to an IP address and port before `until`. Another thread can interrupt the wait."""
    connected.setblocking(False)
    error = connected.connect_ex(address)
    if error == errno.EINPROGRESS:
        _wait(connected, until, for_reading=False)
        error = connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


def _connect_to_proxy(connected: socket.socket, address: tuple[str, int], until: float) -> None:
    try:
        _connect(connected, address, until)
    except OSError as error:
        if own_lack.is_one(error):
            raise
        raise ProxyFailed('the proxy does not accept a connection') from error


def _handshake(secure: ssl.SSLSocket, until: float) -> None:
    """Do the TLS handshake before `until`. A timeout of a green socket would hold per message."""
    secure.setblocking(False)
    while (for_reading := _handshake_waits_for_reading(secure)) is not None:
        _wait(secure, until, for_reading=for_reading)
    secure.setblocking(True)


def _handshake_waits_for_reading(secure: ssl.SSLSocket) -> bool | None:
    """True if the handshake waits for reading, False for writing, None if it is complete."""
    try:
        secure.do_handshake()
    except ssl.SSLWantReadError:
        return True
    except ssl.SSLWantWriteError:
        return False
    return None


def _wait(connected: socket.socket, until: float, *, for_reading: bool) -> None:
    """Wait until a socket is ready for reading or writing. Raises TimeoutError."""
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    if hasattr(select, 'poll'):  # missing in a green process; select() refuses high descriptors
        poll = select.poll()
        poll.register(connected, select.POLLIN if for_reading else select.POLLOUT)
        with interrupts.socket_call(connected):
            is_ready = bool(poll.poll(seconds * 1000))
    elif for_reading:
        is_ready = any(select.select([connected], [], [], seconds))
    else:
        is_ready = any(select.select([], [connected], [], seconds))
    if not is_ready:
        raise TimeoutError
