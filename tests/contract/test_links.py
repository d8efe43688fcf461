"""Does a link keep its promises, on each transport and a real broker?"""

import contextlib
import json
import pickle
import threading
import time
import urllib.parse
import uuid

import pytest

from glance.domain import errors
from glance.domain.remote_steps import Beat, Heard, Order, Question, to_wire
from tests import brokers
from tests.process.relay import Relay

kombu = brokers.import_kombu()

from glance.messaging.broker import QUEUE_TIME, Broker  # noqa: E402
from glance.messaging.link import Link  # noqa: E402

PATIENCE = 30

pytestmark = [pytest.mark.once, pytest.mark.soak]


class Inbox:
    """What a link has received."""

    def __init__(self):
        self.messages = []
        self._changed = threading.Condition()

    def add(self, message):
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def await_message(self, wanted):
        with self._changed:
            assert self._changed.wait_for(lambda: wanted in self.messages, PATIENCE), wanted

    def await_messages(self, wanted, other):
        """Wait until each is here, or in another inbox."""
        until = time.monotonic() + PATIENCE
        while missing := [one for one in wanted if one not in self.messages + other.messages]:
            assert time.monotonic() < until, missing
            with self._changed:
                self._changed.wait(0.05)


class LinkContract:
    transport: str

    @pytest.fixture(autouse=True)
    def _set_up(self, missing):
        self.where = brokers.address(self.transport, missing)
        self.broker = Broker(self.transport, self.where.url, self.where.exchange)
        with contextlib.ExitStack() as self.stack:
            yield

    def link(self, broker=None):
        inbox = Inbox()
        link = Link(broker or self.broker, uuid.uuid4().hex, inbox.add)
        link.start()
        self.stack.callback(link.stop)
        assert link.wait_for_echo(PATIENCE)
        return link, inbox

    def publish(self, address, body, **options):
        """Send whatever it is, as somebody who can reach the broker may do."""
        with self.broker.connect() as connection:
            connection.Producer().publish(body, exchange='', routing_key=address, **options)

    def test_a_message_reaches_one_process(self):
        one, _ = self.link()
        other, inbox = self.link()
        _, third = self.link()
        message = Order(str(uuid.uuid4()), 3, 'fetch', one.address, str(uuid.uuid4()))
        one.send(other.address, message)
        inbox.await_message(message)
        assert third.messages == []

    def test_a_message_to_all_reaches_all(self):
        links = [self.link() for _ in range(3)]
        links[0][0].send_to_all(Question())
        for _, inbox in links:
            inbox.await_message(Question())

    def test_messages_keep_their_order(self):
        one, _ = self.link()
        other, inbox = self.link()
        sent = [Heard(str(uuid.uuid4())) for _ in range(50)]
        for message in sent:
            one.send(other.address, message)
        inbox.await_message(sent[-1])
        assert inbox.messages == sent

    @pytest.mark.parametrize('body', ['pickle', 'text', 'schema', 'kind', 'field', 'long'])
    def test_what_is_not_ours_is_refused_and_the_link_lives_on(self, body, tmp_path):
        link, inbox = self.link()
        good = to_wire(Heard(str(uuid.uuid4())))
        marker = tmp_path / 'executed'
        text, content_type = {
            'pickle': (pickle.dumps(_Writes(marker)), 'application/x-python-serialize'),
            'text': ('{"schema": 1,', 'application/json'),
            'schema': (json.dumps(good | {'schema': 99}), 'application/json'),
            'kind': (json.dumps(good | {'kind': 'shutdown'}), 'application/json'),
            'field': (json.dumps(good | {'path': '/etc/shadow'}), 'application/json'),
            'long': (json.dumps(good | {'sending': 'x' * 300000}), 'application/json'),
        }[body]
        encoding = 'binary' if body == 'pickle' else 'utf-8'
        self.publish(link.address, text, content_type=content_type, content_encoding=encoding)
        after = Heard(str(uuid.uuid4()))
        self.publish(
            link.address,
            json.dumps(to_wire(after)),
            content_type='application/json',
            content_encoding='utf-8',
        )
        inbox.await_message(after)
        assert inbox.messages == [after]
        assert link.counts['refused'] == 1
        assert not marker.exists()

    def test_a_message_whose_answer_would_go_to_queues_of_others_is_refused(self):
        one, _ = self.link()
        other, inbox = self.link()
        for message in (
            Order(str(uuid.uuid4()), 3, 'fetch', 'celery', str(uuid.uuid4())),
            Beat('celery', {}),
        ):
            one.send(other.address, message)
        one.send(other.address, Question())
        inbox.await_message(Question())
        assert inbox.messages == [Question()]
        assert other.counts['refused'] == 2

    def test_what_is_refused_stands_once_in_the_log_and_without_its_content(self, caplog):
        link, inbox = self.link()
        self.publish(link.address, '{"geheim": 1}', content_type='application/json')
        self.publish(link.address, '"geheim', content_type='application/json')
        self.publish(link.address, 'geheim', headers={'compression': 'geheim'})
        self.publish(
            link.address, json.dumps(to_wire(Question())), content_type='application/json'
        )
        inbox.await_message(Question())
        refused = [one for one in caplog.records if one.action == 'message_refused']
        assert len(refused) == link.counts['refused'] == 3
        assert not any(one.exc_info for one in refused)
        assert 'geheim' not in caplog.text

    def test_a_receiver_that_breaks_does_not_stop_the_link(self):
        one, _ = self.link()
        heard = threading.Event()

        def receive(message):
            if isinstance(message, Beat):
                raise ZeroDivisionError
            heard.set()

        other = Link(self.broker, uuid.uuid4().hex, receive)
        other.start()
        self.stack.callback(other.stop)
        assert other.wait_for_echo(PATIENCE)
        one.send(other.address, Beat(one.address, {}))
        one.send(other.address, Heard(str(uuid.uuid4())))
        assert heard.wait(PATIENCE)
        assert other.counts['broken'] == 1

    def test_a_link_comes_back_after_the_broker_was_away(self):
        relay = self.relay()
        through = Broker(self.transport, self.url_through(relay), self.where.exchange)
        link, inbox = self.link(through)
        other, _ = self.link()
        relay.cut()
        until = time.monotonic() + PATIENCE
        while link.wait_for_echo(0.2):  # until it has noticed
            assert time.monotonic() < until
        assert link.echo_age() > 0.2
        relay.mend()
        assert link.wait_for_echo(PATIENCE)
        message = Heard(str(uuid.uuid4()))
        other.send(link.address, message)
        inbox.await_message(message)
        other.send_to_all(Question())
        inbox.await_message(Question())

    def test_a_link_comes_back_after_the_broker_was_silent(self, caplog):
        caplog.set_level('INFO', 'glance.messaging')
        relay = self.relay()
        through = Broker(self.transport, self.url_through(relay), self.where.exchange, timeout=1)
        link = Link(through, uuid.uuid4().hex, lambda message: None, echo_timeout=1)
        link.start()
        self.stack.callback(link.stop)
        assert link.wait_for_echo(PATIENCE)

        def await_said(*actions):
            until = time.monotonic() + PATIENCE
            while (said := [record.action for record in caplog.records]) != list(actions):
                assert time.monotonic() < until, said
                link.wait_for_echo(0.1)

        relay.silence()
        await_said('broker_away')
        assert not link.wait_for_echo(3)  # long enough for some attempts to connect
        relay.cut()  # what it has not passed on is lost
        relay.speak()
        relay.mend()
        await_said('broker_away', 'broker_back')

    def test_a_message_that_met_an_outage_is_sent_after_it(self):
        relay = self.relay()
        through = Broker(self.transport, self.url_through(relay), self.where.exchange)
        one, _ = self.link(through)
        other, inbox = self.link()
        relay.cut()
        sent = [Heard(str(uuid.uuid4())) for _ in range(5)]
        for message in sent:
            one.send(other.address, message)
        relay.mend()
        for message in sent:
            inbox.await_message(message)

    @pytest.mark.parametrize('secret', ['wrong', ''])
    def test_a_wrong_password_is_told_in_one_sentence(self, secret):
        parts = urllib.parse.urlsplit(self.where.url)
        place = f'somebody:{secret}@{parts.hostname}:{parts.port}{parts.path}'
        refused = Broker(self.transport, f'{parts.scheme}://{place}', self.where.exchange)
        with pytest.raises(errors.ConfigError, match=r'\[taskflow_workers\] address') as raised:
            refused.verify()
        assert not secret or secret not in str(raised.value).split()
        self.broker.verify()

    def test_a_broker_that_is_away_is_not_refused(self):
        relay = self.relay()
        relay.cut()
        Broker(self.transport, self.url_through(relay), self.where.exchange).verify()

    def test_two_of_one_name_do_not_take_the_messages_of_others(self):
        """Names are unique. Should two be equal, each message reaches one or both of them."""
        name, inboxes = uuid.uuid4().hex, [Inbox(), Inbox()]
        for inbox in inboxes:
            link = Link(self.broker, name, inbox.add)
            link.start()
            self.stack.callback(link.stop)
            assert link.wait_for_echo(PATIENCE)
        other, third = self.link()
        sent = [Heard(str(uuid.uuid4())) for _ in range(20)]
        for message in sent:
            other.send(link.address, message)
        inboxes[0].await_messages(sent, inboxes[1])
        assert third.messages == []

    def test_a_link_starts_while_the_broker_is_away(self):
        relay = self.relay()
        relay.cut()
        through = Broker(self.transport, self.url_through(relay), self.where.exchange)
        link = Link(through, uuid.uuid4().hex, lambda message: None)
        link.start()
        self.stack.callback(link.stop)
        assert not link.wait_for_echo(0.3)
        relay.mend()
        assert link.wait_for_echo(PATIENCE)

    def relay(self):
        parts = kombu.Connection(self.where.url)
        relay = Relay(parts.hostname, parts.port)
        self.stack.callback(relay.close)
        return relay

    def url_through(self, relay):
        parts = kombu.Connection(self.where.url)
        return self.where.url.replace(f'{parts.hostname}:{parts.port}', f'127.0.0.1:{relay.port}')


class TestRedis(LinkContract):
    transport = 'redis'

    def test_nothing_of_dead_processes_stays(self):
        """Each key goes by itself, and there is none that only grows."""
        client = self.broker.connect().default_channel.client
        link, _ = self.link()
        for _ in range(100):  # who dies leaves its queue behind, and answers still come to it
            link.send(f'{self.where.exchange}.{uuid.uuid4().hex}', Question())
        assert link.wait_for_echo(PATIENCE)
        keys = [
            *client.keys(f'*{self.where.exchange}*'),
            *client.keys(f'_kombu*{self.where.exchange}*'),
        ]
        assert len(keys) >= 100
        times = {client.ttl(key) for key in keys}  # -2 is gone, -1 is for ever
        assert -1 not in times
        assert max(times) <= QUEUE_TIME

    @pytest.mark.parametrize('to', ['one', 'all'])
    @pytest.mark.parametrize(
        'raw',
        [
            b'\x80\x04garbage',
            b'{}',  # for kombu, a part that is missing is a connection that is lost
            b'{"body": "x", "properties": {}}',
            b'{"__type__": "datetime", "__value__": "geheim"}',
        ],
    )
    def test_what_is_no_envelope_is_refused_too(self, to, raw, caplog):
        link, inbox = self.link()
        other, _ = self.link()
        client = self.broker.connect().default_channel.client
        if to == 'one':
            client.lpush(link.address, raw)
        else:
            client.publish(f'/0.{self.broker.everyone().name}', raw)
        message = Heard(str(uuid.uuid4()))
        other.send(link.address, message)
        other.send_to_all(Question())
        for one in (message, Question()):
            inbox.await_message(one)
        assert (link.counts['refused'], link.counts['connected']) == (1, 1)
        assert 'geheim' not in caplog.text

    def test_nothing_is_decompressed(self):
        """A small message may be of any size then."""
        link, inbox = self.link()
        other, _ = self.link()
        self.publish(
            link.address,
            json.dumps(to_wire(Heard(str(uuid.uuid4())))),
            content_type='application/json',
            compression='gzip',
        )
        other.send(link.address, Question())
        inbox.await_message(Question())
        assert inbox.messages == [Question()]
        assert link.counts['refused'] == 1


class TestAmqp(LinkContract):
    transport = 'amqp'

    def test_the_queue_of_a_link_goes_with_it(self):
        link, _ = self.link()
        link.stop()
        with self.broker.connect() as connection, pytest.raises(connection.channel_errors):
            connection.channel().queue_declare(link.address, passive=True)


class _Writes:
    """A pickle that leaves a file behind where somebody loads it."""

    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return open, (str(self._path), 'w')
