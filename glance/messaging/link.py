"""The link of a process to the broker: one connection that reads, and one that writes.

Messages may get lost, come twice or come late. Whoever sends one that matters sends
it again until the other side has answered.
"""

import collections
import collections.abc
import json
import logging
import threading
import time
import typing

from kombu.messaging import Producer

from glance.domain import remote_steps
from glance.domain.remote_steps import Message, NotOurs
from glance.messaging.broker import Broker
from glance.messaging.outage import OutageLog
from glance.threads import StandingThread

LOG = logging.getLogger(__name__)

ECHO_EVERY = 1.0  # seconds between two messages of a process to itself
# Seconds without an echo after which both connections are opened anew: a connection
# through a broken network may look healthy for hours.
ECHO_TIMEOUT = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0  # seconds between two attempts to connect
SILENT_AFTER = 4.0  # seconds without an echo after which the broker counts as silent
LONGEST_MESSAGE = 256 * 1024  # bytes
MOST_WAITING = 10000  # messages that wait to be sent; the oldest is dropped then

_JSON = {'content_type': 'application/json', 'content_encoding': 'utf-8'}


class _Outbox:
    """The messages that wait to be sent, in order."""

    def __init__(self) -> None:
        self._waiting: collections.deque[tuple[str | None, dict[str, typing.Any]]]
        self._waiting = collections.deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, address: str | None, data: dict[str, typing.Any], *, first: bool = False) -> int:
        """Add a message for a process, or for all (None). Returns how many were dropped."""
        with self._changed:
            if dropped := len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()
            (self._waiting.appendleft if first else self._waiting.append)((address, data))
            self._changed.notify()
        return int(dropped)

    def get(self) -> tuple[str | None, dict[str, typing.Any]] | None:
        """Take the next message; waits for one. None if it is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return self._waiting.popleft() if self._waiting else None

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Link:
    """Sends and receives messages for one process.

    name     unique for this process, also among those of other hosts and earlier ones
    receive  receive(message), called in the thread that reads; must not wait

    echo_timeout  seconds without an echo after which both connections are opened anew

    counts   what came and went, by kind: received, echo, refused, unsent, broken
    """

    def __init__(
        self,
        broker: Broker,
        name: str,
        receive: collections.abc.Callable[[Message], None],
        echo_timeout: float = ECHO_TIMEOUT,
    ) -> None:
        self._echo_timeout = echo_timeout
        self._broker = broker
        self._name = name
        self._receive = receive
        self.address = broker.address(name)
        self.counts: collections.Counter[str] = collections.Counter()
        self._outbox = _Outbox()
        self._stopping = threading.Event()
        self._echo_heard = threading.Condition()
        self._echoed_at = self._opened_at = float('-inf')
        self._outage = OutageLog()
        self._threads: list[StandingThread] = []

    def start(self) -> None:
        """Connect, and go on trying for ever. Returns at once."""
        for target, name in ((self._read_loop, 'read'), (self._write_loop, 'write')):
            thread = StandingThread(f'link-{name}', target)
            self._threads.append(thread)
            thread.start()

    def stop(self, patience: float = 2.0) -> None:
        """Send what waits to be sent, then close. Takes patience seconds at most."""
        until = time.monotonic() + patience
        self._outbox.close()
        for thread in self._threads[1:]:  # the one that writes, if this link was started
            thread.join(patience)
        self._stopping.set()
        for thread in self._threads:
            thread.join(max(0, until - time.monotonic()))

    def send(self, address: str, message: Message) -> None:
        """Send a message to the process of this address. Returns at once."""
        self._put(address, remote_steps.to_wire(message))

    def send_to_all(self, message: Message) -> None:
        """Send a message to every process, this one included. Returns at once."""
        self._put(None, remote_steps.to_wire(message))

    def echo_age(self) -> float:
        """Seconds since a message of this process to itself has come back; inf if none has."""
        return time.monotonic() - self._echoed_at

    def wait_for_echo(self, timeout: float) -> bool:
        """Wait until an echo comes back that is sent after all that was sent before."""
        asked = time.monotonic()
        self._outbox.put(self.address, {'echo': asked})
        with self._echo_heard:
            return self._echo_heard.wait_for(lambda: self._echoed_at >= asked, timeout)

    def _put(
        self, address: str | None, data: dict[str, typing.Any], *, first: bool = False
    ) -> None:
        self.counts['unsent'] += self._outbox.put(address, data, first=first)

    # ---------------------------------------------------------------- reading

    def _read_loop(self) -> None:
        self._again(self._read)

    def _read(self) -> None:
        """Read until the connection breaks or the link stops."""
        with self._broker.connected() as connection:
            channel = connection.channel()
            queues = [one(channel) for one in self._broker.queues(self._name)]
            for one in queues:  # all, before the first message can show that the link is up
                one.declare()
            for one in queues:
                channel.basic_consume(
                    one.name, no_ack=True, consumer_tag=one.name, callback=self._on_message
                )
            self._opened_at = time.monotonic()
            self.counts['connected'] += 1
            echo_at = float('-inf')
            while not self._stopping.is_set():
                now = time.monotonic()
                if now - echo_at >= ECHO_EVERY:
                    echo_at = now
                    self._outbox.put(self.address, {'echo': now}, first=True)
                    self._require_echo(self._opened_at)
                reason = None
                try:
                    connection.drain_events(timeout=ECHO_EVERY / 2)
                except TimeoutError:
                    continue
                except connection.connection_errors:
                    raise
                except Exception as error:  # its text may have any part of the message
                    reason = f'it has no envelope ({type(error).__name__})'
                if reason is not None:
                    self._refuse(reason)
            for one in queues:
                channel.basic_cancel(one.name)
                one.delete()

    def _on_message(self, raw: typing.Any) -> None:
        reason = message = None
        try:
            message = self._unpacked(raw)
        except NotOurs as error:
            reason = str(error)
        if reason is not None:  # outside of the except clause, or the log has the reason twice
            self._refuse(reason)
        if message is None:
            return
        self.counts['received'] += 1
        try:
            self._receive(message)
        except Exception:  # the next message must not wait for ever
            self.counts['broken'] += 1
            LOG.exception('A message of another process could not be handled')

    def _unpacked(self, raw: typing.Any) -> Message | None:
        """The message; None if it is an echo. Raises NotOurs."""
        if getattr(raw, 'errors', None):
            raise NotOurs('it cannot be unpacked')
        content_type = getattr(raw, 'content_type', None) or raw.properties.get('content_type')
        if content_type != _JSON['content_type']:
            raise NotOurs('it is not JSON')
        if len(raw.body) > LONGEST_MESSAGE:
            raise NotOurs('it is too long')
        try:
            data = json.loads(raw.body)
        except (ValueError, RecursionError):
            raise NotOurs('it is not JSON') from None
        if isinstance(data, dict) and data.keys() == {'echo'}:
            self._on_echo(data['echo'])
            return None
        message = remote_steps.from_wire(data)
        for name in ('reply_to', 'worker'):  # an answer goes there
            if not getattr(message, name, self.address).startswith(self._broker.address('')):
                raise NotOurs(f'"{name}" is no address of this exchange')
        return message

    def _on_echo(self, sent: object) -> None:
        if not isinstance(sent, float) or sent > time.monotonic():
            raise NotOurs('it is an echo of nothing that was sent')
        self.counts['echo'] += 1
        self._outage.heard(sent)
        with self._echo_heard:
            self._echoed_at = max(self._echoed_at, sent)
            self._echo_heard.notify_all()

    def _refuse(self, reason: str) -> None:
        self.counts['refused'] += 1
        LOG.warning('A message was refused: %s', reason, extra={'action': 'message_refused'})

    # ---------------------------------------------------------------- writing

    def _write_loop(self) -> None:
        self._again(self._write)

    def _write(self) -> None:
        """Send what waits until the connection breaks or the link stops."""
        with self._broker.connected() as connection:
            channel = connection.channel()
            everyone = self._broker.everyone()(channel)
            everyone.declare()
            producer = Producer(channel, auto_declare=False)
            opened_at = time.monotonic()
            while (item := self._outbox.get()) is not None:
                address, data = item
                try:
                    self._require_echo(opened_at)
                    producer.publish(
                        json.dumps(data, separators=(',', ':')),
                        exchange=everyone.name if address is None else '',
                        routing_key=address or '',
                        delivery_mode=1,
                        retry=False,
                        **_JSON,
                    )
                except BaseException:
                    # It may come twice now. Whoever gets it recognises it by its id.
                    self._put(address, data, first=True)
                    raise
            self._stopping.set()

    # ------------------------------------------------------------- connecting

    def _again(self, work: collections.abc.Callable[[], None]) -> None:
        """Call work() until the link stops, however it ends."""
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                work()
            except Exception as error:  # kombu lets errors of many libraries pass
                if time.monotonic() - began > self._echo_timeout:
                    pause = FIRST_PAUSE
                self._outage.trouble(str(error) or type(error).__name__)
                self._stopping.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _require_echo(self, opened_at: float) -> None:
        """Raises ConnectionError if a connection that looks healthy has been silent for long."""
        silent = time.monotonic() - max(self._echoed_at, opened_at)
        if silent > self._echo_timeout:
            raise ConnectionError('no message of this process came back')
        if silent > SILENT_AFTER:
            self._outage.trouble('it is silent')
