"""Somebody who can write to the broker sends whatever he likes to a real conductor and worker.

He may delay tasks. He changes nothing of what they do, ends no process, and each of his messages
is refused with a line in the log that has nothing of it.
"""

import gzip
import json
import pickle
import queue
import re
import uuid

import pytest

from glance.db import sessions, task_queue
from glance.db.worker_claims import WorkerClaims
from glance.domain.lease import Lease
from glance.domain.remote_steps import Announcement, Answer, Beat, Ending, Heard, Order, to_wire
from tests import brokers

from .conftest import until
from .held_page import HeldPage
from .snapshot import snapshot

brokers.import_kombu()

from glance.messaging.broker import Broker  # noqa: E402
from glance.messaging.link import Link  # noqa: E402

CONTENT = bytes(range(256)) * 4096
SECRET = 'geheim-4711'
JSON = {'content_type': 'application/json', 'content_encoding': 'utf-8'}
UNKNOWN = str(uuid.uuid4())
DEEP = '[' * 100000 + ']' * 100000


class Attacker:
    """Reads and writes at the broker, without being one of the service's processes."""

    def __init__(self, where):
        self.where = where
        self.broker = Broker(where.transport, where.url, where.exchange)
        self._announced = {}
        self.orders = queue.SimpleQueue()
        self.link = Link(self.broker, uuid.uuid4().hex, self._receive)
        self.link.start()
        assert self.link.wait_for_echo(60)

    def _receive(self, message):
        if isinstance(message, Announcement):
            self._announced[message.worker] = message
        elif isinstance(message, Order):
            self.orders.put(message)

    def of_worker(self, worker):
        """What a worker says of itself."""

        def found():
            mine = f'.{worker.process.pid}.'
            return next((one for one in list(self._announced.values()) if mine in one.worker), 0)

        return until(found, 'an announcement')

    def publish(self, address, body, **options):
        """Send a message that kombu packs, to a process or to all."""
        with self.broker.connect() as connection:
            producer = connection.Producer()
            everyone = self.broker.everyone()(producer.channel)
            everyone.declare()
            exchange = '' if address else everyone.name
            producer.publish(body, exchange=exchange, routing_key=address or '', **JSON | options)

    def push(self, address, raw):
        """Send what no kombu has packed; Redis only."""
        with self.broker.connect() as connection:
            client = connection.default_channel.client
            if address:
                client.lpush(address, raw)
            else:
                assert client.publish(f'/0.{self.broker.everyone().name}', raw)


@pytest.fixture(params=['redis', pytest.param('amqp', marks=pytest.mark.soak)])
def where(request, missing):
    return brokers.address(request.param, missing)


@pytest.fixture
def sections(where):
    return {
        'taskflow_executor': {'engine_mode': 'worker-based'},
        'taskflow_workers': where.options(worker_timeout=3.0),
    }


@pytest.fixture
def attacker(where):
    attacker = Attacker(where)
    yield attacker
    attacker.link.stop()


@pytest.fixture
def start_worker(begin_worker, config, sections):
    """start_worker(): a glance-worker that takes orders, and has its steps in its log."""
    return lambda: begin_worker(config(**sections, DEFAULT={'debug': True}))


@pytest.fixture
def api(start, sections):
    return start(**sections).await_ready()


@pytest.fixture
def source(web):
    """The address of an image whose second half waits until web.go_on is set."""
    web.pages['/image'] = page = HeldPage(CONTENT)
    web.go_on = page.go_on
    yield f'{web.url}/image'
    web.go_on.set()


@pytest.fixture
def sent(database):
    """sent(task_id, claim): (address of the worker, id of the sending) of its fetch."""

    def read(task_id, claim=1):
        asked = sessions.open_database(database)
        try:
            lease = Lease(task_id, claim)

            def noted():
                return list(WorkerClaims(asked).read(lease).sent.choices.values())

            [choice] = until(noted, 'the note of a sending')
            return choice
        finally:
            asked.close()

    return read


def claims(task_id, api):
    return re.findall(rf'Task {task_id} (?:begun|goes on), claim (\d+)', api.log)


class _Writes:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, 'w')


def packed_garbage(marker):
    """(body, options): messages that kombu unpacks, or tries to."""
    good = to_wire(Heard(UNKNOWN))
    order = to_wire(Order(UNKNOWN, 1, 'fetch', 'glance.x', UNKNOWN))
    bomb = gzip.compress(b'{"x": "' + b'0' * 2**26 + b'"}')
    return [
        (pickle.dumps(_Writes(marker)), {'content_type': 'application/x-python-serialize'}),
        (json.dumps(good), {'content_type': 'text/plain'}),
        (json.dumps(good | {'schema': 99, 'token': SECRET}), {}),
        (json.dumps(good | {'kind': SECRET}), {}),
        (json.dumps({SECRET: 'x' * 2**20}), {}),
        (DEEP, {}),
        (f'{{"{SECRET}', {}),
        (json.dumps(order | {'path': '/etc/shadow'}), {}),
        (json.dumps(order | {'step': '../../etc/shadow'}), {}),
        (json.dumps(order | {'lease': 2**31}), {}),
        (json.dumps(order), {}),  # its answer would go to a queue of others
        (json.dumps({'echo': 1e300}), {}),
        (bomb, {'headers': {'compression': 'application/x-gzip'}}),
    ]


RAW_GARBAGE = [
    '',
    'x' * 300000,
    '{}',
    '[]',
    'null',
    DEEP,
    json.dumps({'body': SECRET}),
    json.dumps({'body': SECRET, 'properties': {}}),
    json.dumps({'body': SECRET, 'properties': {'delivery_tag': 'x'}}),
    json.dumps({'body': '{}', 'properties': {'delivery_tag': 'x', 'body_encoding': SECRET}}),
    json.dumps({'__type__': 'datetime', '__value__': SECRET}),
    json.dumps({'__type__': SECRET, '__value__': SECRET}),
]


@pytest.mark.once
def test_what_is_no_message_is_refused_and_nothing_else_happens(
    api, start_worker, attacker, web, source, settled, sent, tmp_path
):
    worker = start_worker()
    task_id = api.import_(source)
    web.await_request('/image')
    address = sent(task_id)[0]
    marker = tmp_path / 'executed'
    count = 0
    for to in (address, None):
        for body, options in packed_garbage(marker):
            attacker.publish(to, body, **options)
            count += 1
        for raw in RAW_GARBAGE if attacker.where.transport == 'redis' else ():
            attacker.push(to, raw)
            count += 1
    refused = 'A message was refused: '
    until(lambda: worker.log.count(refused) >= count, 'all refusals')
    until(lambda: api.log.count(refused) >= count // 2, 'those of the conductor')
    web.go_on.set()
    assert api.ended(task_id)['status'] == 'success'
    assert claims(task_id, api) == ['1']
    assert (worker.log.count(refused), api.log.count(refused)) == (count, count // 2)
    for log in (worker.log, api.log):
        assert SECRET not in log
        assert 'Traceback' not in log
        assert 'The message broker does not answer' not in log
    assert not marker.exists()
    settled({source: CONTENT})


def test_orders_that_are_made_up_are_refused_and_cancels_are_still_seen(
    api, start_worker, attacker, web, source, settled, sent, database
):
    worker = start_worker()
    task_id = api.import_(source)
    web.await_request('/image')
    address, sending = sent(task_id)
    to = attacker.link.address
    orders = [
        Order(task_id, 1, 'no-such-step', to, str(uuid.uuid4())),
        Order(task_id, 1, 'finish', to, str(uuid.uuid4())),
        Order(task_id, 7, 'fetch', to, str(uuid.uuid4())),
        Order(task_id, 2**31 - 1, 'fetch', to, str(uuid.uuid4())),
        Order(str(uuid.uuid4()), 1, 'fetch', to, str(uuid.uuid4())),
        Order('no-such-task', 1, 'fetch', f'{to}-gone', str(uuid.uuid4())),
    ]
    for order in orders:
        attacker.link.send(address, order)
    until(lambda: worker.log.count('an order was refused: ') >= len(orders), 'the refusals')
    attacker.link.send(address, Order(task_id, 1, 'fetch', to, sending))  # as it was
    asked = sessions.open_database(database)
    assert task_queue.SqlTaskQueue(asked, time_to_live=48).cancel(task_id)
    asked.close()
    assert api.ended(task_id)['status'] == 'failure'
    assert 'Traceback' not in worker.log + api.log
    assert worker.steps() == [(task_id, 'fetch')]
    settled()


@pytest.mark.parametrize('ending', [Ending.DONE, Ending.FAILED, Ending.STUCK])
def test_a_forged_answer_only_makes_the_conductor_look(
    api, start_worker, attacker, web, source, settled, sent, ending
):
    real = attacker.of_worker(start_worker())
    mine = _like(real, worker=attacker.link.address, slots=10**6, free=10**6)
    attacker.link.send_to_all(mine)
    assert attacker.link.wait_for_echo(60)
    task_id = api.import_(source)
    conductor = attacker.orders.get(timeout=60).reply_to
    web.await_request('/image')
    address, sending = sent(task_id, 2)
    attacker.link.send(conductor, Beat(address, {sending: 2**50}))
    beyond = to_wire(Beat(address, {})) | {'at_work': {sending: 10**30}}
    attacker.publish(conductor, json.dumps(beyond))  # no database has such a number
    attacker.link.send(conductor, Answer(address, str(uuid.uuid4()), ending))
    attacker.link.send(conductor, Answer(attacker.link.address, sending, ending))
    attacker.link.send(conductor, Answer(address, sending, ending))
    until(lambda: len(claims(task_id, api)) > 2, 'the next claim')
    web.go_on.set()
    assert api.ended(task_id)['status'] == 'success'
    assert 'Traceback' not in api.log
    settled({source: CONTENT})


@pytest.mark.once
def test_a_forged_announcement_delays_tasks_and_no_more(
    api, start_worker, attacker, web, source, settled
):
    worker = start_worker()
    real = attacker.of_worker(worker)
    web.go_on.set()
    forged = [
        _like(real, worker=attacker.link.address, slots=10**6, free=10**6),
        _like(real, worker=f'{attacker.where.exchange}.' + 'x' * 200, free=10**6, slots=10**6),
        _like(real, deployment='other', version='0.0'),
        _like(real, stores=[], topics=[], types={}, area='elsewhere', host='elsewhere'),
        _like(real, leaving=True),
        _like(real, folders={'filesystem': 'other'}),
    ]
    for one in forged:
        attacker.link.send_to_all(one)
    attacker.publish(None, json.dumps(to_wire(real) | {'free': 10**30}))
    attacker.publish(None, json.dumps(to_wire(real) | {'worker': f'../{SECRET}'}))
    tasks = [api.import_(source) for _ in range(3)]
    assert [api.ended(task)['status'] for task in tasks] == ['success'] * 3
    assert 'Traceback' not in api.log + worker.log
    assert SECRET not in api.log + worker.log
    settled({source: CONTENT})


@pytest.mark.once
def test_a_process_with_the_name_of_a_worker_takes_its_orders_and_they_come_again(
    api, start_worker, attacker, web, source, settled
):
    worker = start_worker()
    address = attacker.of_worker(worker).worker
    name = address.removeprefix(f'{attacker.where.exchange}.')
    twin = Link(attacker.broker, name, lambda message: None)
    twin.start()
    try:
        until(lambda: twin.counts['connected'], 'the connection of the twin')
        web.go_on.set()
        tasks = [api.import_(source) for _ in range(3)]
        assert [api.ended(task)['status'] for task in tasks] == ['success'] * 3
    finally:
        twin.stop()
    later = api.import_(source)
    assert api.ended(later)['status'] == 'success'
    assert 'Traceback' not in api.log + worker.log
    settled({source: CONTENT})


def test_an_old_order_does_nothing_after_the_end(
    api, start_worker, attacker, web, source, settled, sent, state, database
):
    worker = start_worker()
    task_id = api.import_(source)
    web.await_request('/image')
    address, sending = sent(task_id)
    other = start_worker()
    web.go_on.set()
    assert api.ended(task_id)['status'] == 'success'
    settled({source: CONTENT})
    before = snapshot(state, database)
    steps = worker.steps() + other.steps()
    for to in (address, attacker.of_worker(other).worker):
        attacker.link.send(to, Order(task_id, 1, 'fetch', attacker.link.address, sending))
        again = Order(task_id, 1, 'fetch', attacker.link.address, str(uuid.uuid4()))
        attacker.link.send(to, again)
    for one, count in ((worker, 1), (other, 2)):
        until(lambda one=one: one.log.count('an order was refused') >= 1, 'the refusal')
        assert one.log.count('an order was refused') <= count
    assert snapshot(state, database) == before
    assert worker.steps() + other.steps() == steps
    settled({source: CONTENT})


def _like(announced, **changes):
    return Announcement(
        **{name: getattr(announced, name) for name in announced.__dataclass_fields__} | changes
    )
