"""Connecting to a database server, and waiting for its answers, within a deadline.

psycopg2 and PyMySQL would wait for ever for a server that accepts and does not answer,
and look up host names in the hub of a green process. So names are looked up here, in
native threads, and the addresses of all hosts of a URL share the time that is left.
"""

import collections.abc
import functools
import ipaddress
import math
import socket
import typing

from glance import native_threads, threads
from glance.db import deadlines

T = typing.TypeVar('T')
Choice = typing.TypeVar('Choice')
Parameters = collections.abc.Mapping[str, typing.Any]

LOOKUP_THREADS = 2  # native threads of one process that look up the names of database servers
ROLLBACK_TIME = 0.3  # seconds
LATE = 'it did not answer in time'

_lookups = native_threads.NativePool(LOOKUP_THREADS, 'database-names')


def connector(driver: typing.Any) -> collections.abc.Callable[[Parameters], typing.Any] | None:
    """connect(parameters) for a driver module; None if the driver is not known.

    parameters  of the connect() of the driver
    """
    if driver.__name__ == 'psycopg2':
        from psycopg2 import extensions

        extensions.set_wait_callback(wait_psycopg2)
        return functools.partial(connect_psycopg2, driver)
    if driver.__name__ == 'pymysql':
        return functools.partial(connect_pymysql, pymysql_class())
    return None


def connect_psycopg2(driver: typing.Any, parameters: Parameters) -> typing.Any:
    hosts = str(parameters.get('host') or '').split(',')
    ports = str(parameters.get('port') or '').split(',')
    if len(ports) == 1:
        ports *= len(hosts)
    limit = parameters.get('connect_timeout')  # libpq heeds it only while it waits itself

    def at_address(host: str, port: str, address: str | None) -> typing.Any:
        # The name is kept for the certificate.
        ends = {'host': host, 'port': port or None, 'hostaddr': address}
        given = {name: value for name, value in ends.items() if value}
        with deadlines.within(int(limit) if limit and int(limit) > 0 else None):
            return driver.connect(**({**parameters, 'port': None} | given))

    def at_host(end: tuple[str, str]) -> typing.Any:
        host, port = end
        if 'hostaddr' in parameters or not _is_name(host):
            return at_address(host, port, None)
        addresses = _addresses(host, int(port or 5432), driver.OperationalError)
        return _first(addresses, lambda one: at_address(host, port, one), driver.Error)

    if len(hosts) != len(ports):
        return driver.connect(**parameters)  # it says what is wrong
    return _first(list(zip(hosts, ports, strict=True)), at_host, driver.Error)


def wait_psycopg2(connection: typing.Any) -> None:
    """The wait callback of psycopg2: called while it connects and for each statement."""
    from psycopg2 import OperationalError, extensions

    while True:
        state = connection.poll()
        if state == extensions.POLL_OK:
            return
        if state not in (extensions.POLL_READ, extensions.POLL_WRITE):
            raise OperationalError(f'psycopg2 is in the unknown state {state}')
        writes = state == extensions.POLL_WRITE
        if not threads.wait_for(connection.fileno(), writes, deadlines.left()):
            raise OperationalError(LATE)


def connect_pymysql(connection_class: typing.Any, parameters: Parameters) -> typing.Any:
    from pymysql.err import Error, OperationalError

    given = dict(parameters)
    if 'unix_socket' in given or 'read_default_file' in given:
        return connection_class(**given | {'connect_timeout': deadlines.left() or 1})
    host, port = given.get('host') or 'localhost', given.get('port') or 3306
    source = (given['bind_address'], 0) if given.get('bind_address') else None

    def at_address(address: str) -> typing.Any:
        # The name is kept for the certificate.
        connection = connection_class(**given | {'defer_connect': True})
        limits = (deadlines.left(), given.get('connect_timeout'))
        seconds = min((limit for limit in limits if limit is not None), default=None)
        with deadlines.within(seconds):
            connection.limit()
            try:
                peer = socket.create_connection((address, port), seconds, source_address=source)
            except OSError as error:
                raise OperationalError(2003, f'{host} cannot be connected to: {error}') from None
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.connect(peer)
        return connection

    addresses = _addresses(host, port, OperationalError) if _is_name(host) else [host]
    return _first(addresses, at_address, Error)


def pymysql_class() -> typing.Any:
    """PyMySQL's class of connections, with all that is read and written limited in time."""
    from pymysql.connections import Connection

    class LimitedConnection(Connection):  # type: ignore[misc]
        def limit(self) -> None:
            left = deadlines.left()
            # Rounded, because the socket is told each value. When no time is left, there is
            # still some for a rollback.
            limit = None if left is None else max(math.ceil(left * 10) / 10, ROLLBACK_TIME)
            self._read_timeout = self._write_timeout = limit

        def _read_packet(self, *arguments: typing.Any, **values: typing.Any) -> typing.Any:
            self.limit()
            return super()._read_packet(*arguments, **values)

        def _write_bytes(self, data: bytes) -> None:
            self.limit()
            super()._write_bytes(data)

        def close(self) -> None:
            if self.open:  # after an error of the network it closes itself, and refuses another
                super().close()

    return LimitedConnection


def _is_name(host: str) -> bool:
    """Whether this has to be looked up: it is no address, and no folder of a socket."""
    if not host or host[0] in '/@':
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


def _addresses(host: str, port: int, error: type[Exception]) -> list[str]:
    """The addresses of a name, the best first. Raises that error if there is none in time."""
    try:
        return _lookups.submit(_look_up, host, port).result(deadlines.left())
    except TimeoutError:
        raise error(f'the name {host} could not be looked up in time') from None
    except (OSError, UnicodeError) as failed:
        raise error(f'the name {host} cannot be looked up: {failed}') from None


def _look_up(host: str, port: int) -> list[str]:
    # As bytes: a text would load the idna codec, through the patched import of a green process.
    found = threads.original('socket').getaddrinfo(
        host.encode('ascii'), port, type=socket.SOCK_STREAM
    )
    return list(dict.fromkeys(end[0] for _family, _type, _proto, _name, end in found))


def _first(
    choices: collections.abc.Sequence[Choice],
    attempt: collections.abc.Callable[[Choice], T],
    failures: type[Exception],
) -> T:
    """What attempt(choice) returns for the first choice for which it does not fail.

    Each choice gets an equal share of the time that is left.
    """
    for others in range(len(choices) - 1, 0, -1):
        left = deadlines.left()
        try:
            with deadlines.within(None if left is None else left / (others + 1)):
                return attempt(choices[-others - 1])
        except failures:
            continue
    return attempt(choices[-1])
