"""Connections to an address that was checked, in plain or by TLS, also through a proxy."""

import functools
import http.client
import re
import select
import socket
import ssl
import time
import typing

import urllib3.connection

from glance.image_data.proxies import ProxyFailed

_LONGEST_LINE = 65536  # bytes that introduce a chunk


class _Answer(http.client.HTTPResponse):
    """An answer whose chunks have sizes as HTTP spells them, not as int() takes them."""

    def _read_next_chunk_size(self):
        line = self.fp.readline(_LONGEST_LINE)
        if not line:
            raise http.client.IncompleteRead(b'')
        size = line.partition(b';')[0].strip(b' \t\r\n')
        if not line.endswith(b'\n') or not re.fullmatch(b'[0-9a-fA-F]{1,15}', size):
            raise http.client.HTTPException('size of a chunk')
        return int(size, 16)


class _Pinning:
    """A connection to the address that was checked, whatever the name says now.

    through  the Proxy to go through, whose address place is then, or None
    """

    place = through = None
    response_class: typing.Any = _Answer

    def _new_conn(self):
        family = socket.AF_INET6 if ':' in self.place else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            made.settimeout(self.timeout)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.through is None:
                made.connect((self.place, self.port))
            else:
                self._reach_proxy(made)
        except BaseException:
            made.close()
            raise
        return made

    def _reach_proxy(self, made):
        try:
            made.connect((self.place, self.through.port))
        except OSError as error:
            raise ProxyFailed('the proxy does not accept a connection') from error


class Pinned(_Pinning, urllib3.connection.HTTPConnection):
    pass


class PinnedTLS(_Pinning, urllib3.connection.HTTPSConnection):
    trust = None

    def connect(self):
        """As urllib3 does it, but a green socket is closed when the handshake fails."""
        until = time.monotonic() + self.timeout
        self.sock = self._new_conn()
        if self.through is not None:
            self.through.ask_for_way(self.sock, self.host, self.port)
        self.sock = self.trust.wrap_socket(
            self.sock,
            server_hostname=self.host,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
        )  # who cuts a body short cannot make it look whole
        _shake_hands(self.sock, until)


def _shake_hands(secure, until):
    """TLS, in this time as a whole: green sockets measure it for each piece that comes."""
    secure.setblocking(False)
    while (reading := _wanted_by(secure)) is not None:
        _await(secure, until, reading=reading)
    secure.setblocking(True)


def _wanted_by(secure):
    """None when hands are shaken; else whether that waits for reading, or for writing."""
    try:
        secure.do_handshake()
    except ssl.SSLWantReadError:
        return True
    except ssl.SSLWantWriteError:
        return False
    return None


def _await(heard, until, *, reading):
    """Wait until a socket can be read from or written to. Raises TimeoutError."""
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    if hasattr(select, 'poll'):  # not in a green process; no limit on the socket's number
        waiting = select.poll()
        waiting.register(heard, select.POLLIN if reading else select.POLLOUT)
        ready = waiting.poll(seconds * 1000)
    else:
        sides = ([heard], [], []) if reading else ([], [heard], [])
        ready = any(select.select(*sides, seconds))
    if not ready:
        raise TimeoutError


@functools.cache
def trust(ca_file):
    """The certificates to trust. Loading them costs tens of milliseconds: once per process."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context
