"""kombu's transport for Redis, without anything that stays behind when a process dies.

kombu keeps the list of messages of a queue for ever, and remembers in a set which
queues an exchange feeds. Nobody removes what belongs to a dead process, and it grows.
Here each message renews the life of its list, and an exchange that publishes to all
keeps no set: Redis itself knows who listens.
"""

import typing

from kombu.transport import redis
from kombu.utils.json import dumps
from redis.backoff import NoBackoff
from redis.retry import Retry

from glance.messaging.broker import QUEUE_TIME


class Channel(redis.Channel):
    """Redis forgets a list QUEUE_TIME seconds after its last message, read or not."""

    def _connparams(self, asynchronous: bool = False) -> dict[str, typing.Any]:
        # A call fails at the first error: it is the link that tries again, and tells of it.
        parameters: dict[str, typing.Any] = super()._connparams(asynchronous)
        return parameters | {'retry': Retry(NoBackoff(), 0)}

    def _put(self, queue: str, message: typing.Any, **_kwargs: object) -> None:
        # The channel has a client; kombu would make another for each message.
        with self.client.pipeline(transaction=False) as pipe:
            pipe.lpush(queue, dumps(message))
            pipe.expire(queue, QUEUE_TIME)
            pipe.execute()

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        if self.typeof(exchange).type != 'fanout':
            return  # a message to one process goes straight to its list
        self._fanout_queues[queue] = exchange, routing_key.replace('#', '*')


class Transport(redis.Transport):
    Channel = Channel
