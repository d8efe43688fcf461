"""kombu's transport for Redis, without anything that stays behind when a process dies.

kombu keeps the list of messages of a queue for ever, and remembers in a set which
queues an exchange feeds. Nobody removes what belongs to a dead process, and it grows.
Here each message renews the life of its list, and an exchange that publishes to all
keeps no set: Redis itself knows who listens.
"""

import sys
import typing

from kombu.transport import redis, virtual
from kombu.utils.json import dumps, loads
from redis.backoff import NoBackoff
from redis.retry import Retry

from glance.messaging.broker import QUEUE_TIME


class NoEnvelope(ValueError):
    """What was read is not even packed as a message is."""


class Message(virtual.Message):
    """A message as it was sent, or only errors if it cannot be one.

    A compressed one is none: however small, it may be of any size when it is unpacked.
    """

    def __init__(self, payload: typing.Any, channel: typing.Any = None, **more: object) -> None:
        try:
            if 'compression' in (payload.get('headers') or {}):
                raise NoEnvelope
            super().__init__(payload, channel=channel, **more)
        except Exception:  # of whatever kind: anything may be in it
            self.errors = [sys.exc_info()]


class Channel(redis.Channel):
    """Redis forgets a list QUEUE_TIME seconds after its last message, read or not."""

    Message = Message

    def _connparams(self, asynchronous: bool = False) -> dict[str, typing.Any]:
        # A call fails at the first error: it is the link that tries again, and tells of it.
        parameters: dict[str, typing.Any] = super()._connparams(asynchronous)
        return parameters | {'retry': Retry(NoBackoff(), 0)}

    def _brpop_read(self, **options: object) -> object:
        try:
            return super()._brpop_read(**options)
        except KeyError:  # kombu would take it for a lost connection; a message can cause it
            raise NoEnvelope from None

    def _handle_message(self, client: typing.Any, raw: typing.Any) -> typing.Any:
        payload = super()._handle_message(client, raw)
        if payload['type'] in (b'message', b'pmessage', 'message', 'pmessage'):
            try:
                loads(payload['data'])
            except Exception:
                # kombu would log all of it and nobody would count it; and after an error here,
                # messages that came together with this one would wait for the next one.
                payload['data'] = b'{}'  # is refused as a message without any part
        return payload

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
