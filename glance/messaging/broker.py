"""How a broker is reached: its URL, its options, and what is special about a transport."""

import collections.abc
import contextlib
import dataclasses
import typing
import urllib.parse

from kombu.connection import Connection
from kombu.entity import Exchange, Queue

from glance.domain import errors

TRANSPORTS = {'redis': ('redis', 'rediss'), 'amqp': ('amqp', 'amqps', 'pyamqp')}

# How the clients of the brokers name an error that no second attempt will cure.
REFUSALS = {
    *('AuthenticationError', 'AuthorizationError', 'NoPermissionError'),  # Redis
    *('AccessRefused', 'NotAllowed'),  # AMQP
}

QUEUE_TIME = 60  # seconds after which a queue goes that no process reads


@dataclasses.dataclass(frozen=True)
class Broker:
    """A message broker, and the name that keeps deployments on it apart.

    url       as kombu takes it
    exchange  the first part of the names of all queues
    timeout   seconds after which a call to the broker counts as failed
    """

    transport: str
    url: str
    exchange: str
    timeout: float = 5.0

    def __post_init__(self) -> None:
        scheme = urllib.parse.urlsplit(self.url).scheme
        if self.transport not in TRANSPORTS:
            raise errors.ConfigError(
                f'[taskflow_workers] transport = {self.transport} is not known; '
                f'known are {", ".join(TRANSPORTS)}.'
            )
        if scheme not in TRANSPORTS[self.transport]:
            raise errors.ConfigError(
                f'[taskflow_workers] address begins with "{scheme}:", but transport = '
                f'{self.transport} needs {" or ".join(TRANSPORTS[self.transport])}.'
            )

    def connect(self) -> Connection:
        """A connection that is not established yet. Raises what kombu raises."""
        options: dict[str, typing.Any]
        if self.transport == 'redis':
            from glance.messaging import redis_queues

            options = {
                'socket_connect_timeout': self.timeout,
                'socket_timeout': self.timeout,
                'priority_steps': [0],  # one list for each queue, not four
                'ack_emulation': False,
            }
            return Connection(
                self.url, transport=redis_queues.Transport, transport_options=options
            )
        options = {'read_timeout': self.timeout, 'write_timeout': self.timeout}
        return Connection(self.url, connect_timeout=self.timeout, transport_options=options)

    @contextlib.contextmanager
    def connected(self) -> collections.abc.Iterator[Connection]:
        """A connection for the block. After an error nothing more is said to the broker.

        kombu would ask it to close the connection, and wait for an answer.
        """
        connection = self.connect()
        try:
            # One attempt, and no pause: kombu's own connect() would make two, 2 s apart.
            connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
            yield connection
        except BaseException:
            self._abandon(connection)
            raise
        else:
            connection.close()

    def verify(self) -> None:
        """Raises ConfigError if the broker refuses this address; not if it is only away."""
        try:
            with self.connected():
                return
        except Exception as error:
            if not REFUSALS.isdisjoint(kind.__name__ for kind in type(error).__mro__):
                parts = urllib.parse.urlsplit(self.url)
                raise errors.ConfigError(
                    f'The message broker of [taskflow_workers] address at {parts.hostname} '
                    f'refuses its user, password or place: {error}'
                ) from None
            # The link tries again, and says what is wrong.

    def _abandon(self, connection: Connection) -> None:
        if self.transport == 'redis':
            for channel in connection.transport.channels or ():
                channel._disconnect_pools()
        elif connection.connected:
            connection.connection.collect()

    def address(self, name: str) -> str:
        """The queue of a process."""
        return f'{self.exchange}.{name}'

    def everyone(self) -> Exchange:
        """The exchange that passes a message to all processes."""
        return Exchange(f'{self.exchange}.all', 'fanout', durable=False)

    def queues(self, name: str) -> list[Queue]:
        """What a process reads: its own queue, and its copy of what goes to all."""
        own = self.address(name)
        # On Redis the lists go by themselves, and kombu would keep a record of who reads.
        expires = None if self.transport == 'redis' else QUEUE_TIME
        return [
            Queue(own, durable=False, expires=expires),
            Queue(f'{own}.all', self.everyone(), durable=False, auto_delete=True, expires=expires),
        ]
