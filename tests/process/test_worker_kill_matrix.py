"""Worker, conductor and broker are killed, stopped, cut off or silent in each remote step.

Whatever happens, the task ends with the bytes of its source, nothing of it happens twice,
and what was stopped or cut off changes nothing when it goes on.
"""

import dataclasses
import itertools
import signal
import urllib.parse

import pytest

from tests import brokers

from .conftest import CONT, KILL, until
from .redis_server import RedisServer
from .relay import Relay
from .snapshot import snapshot
from .test_fence import is_stopped, stop_between_transactions

brokers.import_kombu()
pytestmark = [pytest.mark.soak, pytest.mark.once]  # they need brokers

CONTENT = bytes(range(256)) * 4096
WORKER_TIMEOUT = 3.0
DIMENSIONS = (
    ('fetch', 'check', 'store'),
    ('worker', 'conductor', 'broker', 'both'),  # both: worker and conductor
    ('kill', 'stop', 'cut', 'silent'),
    ('redis', 'amqp'),
)
MATRIX = list(itertools.product(*DIMENSIONS))
AWAY = r'The message broker has been away for \d+ seconds'


def pairs_of(case):
    return set(itertools.combinations(enumerate(case), 2))


def pairwise(cases):
    """So few of the cases that each pair of values is in one of them."""
    missing = set().union(*map(pairs_of, cases))
    while missing:
        best = max(cases, key=lambda case: len(pairs_of(case) & missing))
        missing -= pairs_of(best)
        yield best


PAIRWISE = set(pairwise(MATRIX))


def test_the_pairwise_cases_have_every_pair():
    assert set().union(*map(pairs_of, PAIRWISE)) == set().union(*map(pairs_of, MATRIX))
    assert len(PAIRWISE) < 20


@dataclasses.dataclass
class Bench:
    """The processes of one case, each with a way of its own to the broker."""

    step: str
    transport: str
    relays: dict[str, Relay]
    start_api: object
    start_worker: object
    redis: RedisServer | None = None

    def begin(self, address):
        """Import, until the worker stands before the step."""
        self.conductor = self.start_api('conductor')
        self.worker = self.start_worker('worker', f'before-do-{self.step}:1:STOP')
        self.task_id = self.conductor.import_(address)
        until(lambda: is_stopped(self.worker), f'the worker before {self.step}')
        self.api = self.conductor  # whom the client asks

    def go_on(self):
        """Let the worker do the step."""
        self.worker.signal(CONT)


@pytest.fixture
def bench(request, start, begin_worker, config, missing):
    _step, _target, _fault, transport = request.param
    where = brokers.address(transport, missing)
    redis = RedisServer() if transport == 'redis' else None
    parts = urllib.parse.urlsplit(where.url)
    place = (parts.hostname, parts.port or 5672) if redis is None else ('127.0.0.1', redis.port)
    relays = {name: Relay(*place) for name in ('worker', 'conductor', 'others')}

    def sections(way):
        through = f'127.0.0.1:{relays[way].port}'
        address = (
            f'redis://{through}/0'
            if redis
            else where.url.replace(f'{parts.hostname}:{parts.port}', through)
        )
        return {
            'task': {'poll_interval': 0.2, 'lease_time': 3},
            'taskflow_executor': {'engine_mode': 'worker-based'},
            'taskflow_workers': where.options(address=address, worker_timeout=WORKER_TIMEOUT),
        }

    yield Bench(
        request.param[0],
        transport,
        relays,
        lambda way: start(**sections(way)).await_ready(),
        lambda way, fail_point='': begin_worker(config(**sections(way)), fail_point=fail_point),
        redis,
    )
    for relay in relays.values():
        relay.close()
    if redis is not None:
        redis.end()


def name_of(case):
    """-k pairwise runs those that have each pair."""
    return '-'.join(('pairwise', *case) if case in PAIRWISE else case)


@pytest.mark.parametrize(
    ('bench', 'case'),
    [pytest.param(case, case, id=name_of(case)) for case in MATRIX],
    indirect=['bench'],
)
@pytest.mark.usefixtures('recorded')
def test_a_task_outlives_whatever_happens_in_a_step(bench, case, web, state, database, settled):
    web.pages['/image'] = CONTENT
    address = f'{web.url}/image'
    bench.begin(address)
    _step, target, fault, _transport = case
    undo = {'worker': on_worker, 'conductor': on_conductor, 'broker': on_broker, 'both': on_both}[
        target
    ](bench, fault, state)
    assert bench.api.ended(bench.task_id)['status'] == 'success'
    ends = settled({address: CONTENT})
    assert len(ends) == 1
    before = snapshot(state, database)
    undo()
    assert snapshot(state, database) == before
    settled({address: CONTENT})


def nothing():
    """There is nobody who could go on."""


def on_worker(bench, fault, _state):
    """Another worker goes on. Returns what lets the first one go on, too."""
    bench.start_worker('others')
    if fault == 'kill':
        bench.worker.signal(KILL)
        return nothing
    if fault == 'stop':
        return lambda: await_given_up(bench)
    disturb(bench.relays['worker'], fault)
    bench.go_on()
    return lambda: restore(bench.relays['worker'])


def await_given_up(bench):
    """Let a worker go on whose task has ended elsewhere, until it has noticed."""
    bench.go_on()
    bench.worker.await_log(rf'Task {bench.task_id}: step {bench.step} was stopped')


def on_conductor(bench, fault, state):
    """Another conductor takes over, or this one goes on when it is no longer cut off."""
    if fault in ('cut', 'silent'):
        disturb(bench.relays['conductor'], fault)
        bench.go_on()
        bench.conductor.await_log(AWAY)
        restore(bench.relays['conductor'])
        return nothing
    stop_or_kill_conductor(bench, fault, state)
    bench.api = bench.start_api('others')
    bench.go_on()
    return lambda: bench.conductor.signal(CONT)


def stop_or_kill_conductor(bench, fault, state):
    if fault == 'kill':
        bench.conductor.signal(KILL)
        bench.conductor.exit_status()
    else:
        until(lambda: stop_between_transactions(bench.conductor, state), 'a stop')


def on_broker(bench, fault, _state):
    """The run waits for the broker. Its worker lives, so nothing is dropped."""
    relays = bench.relays['worker'], bench.relays['conductor']
    bench.go_on()
    if fault == 'kill':
        if bench.redis:
            bench.redis.restart()
        else:
            for relay in relays:
                relay.cut()
                relay.mend()
    elif fault == 'stop' and bench.redis:
        bench.redis.signal(signal.SIGSTOP)
        bench.conductor.await_log(AWAY)
        bench.redis.signal(signal.SIGCONT)
    else:
        for relay in relays:
            disturb(relay, 'silent' if fault == 'stop' else fault)
        bench.conductor.await_log(AWAY)
        for relay in relays:
            restore(relay)

    def nothing_was_dropped():
        assert f'Task {bench.task_id} goes on' not in bench.conductor.log
        assert 'it counts as lost' not in bench.conductor.log

    return nothing_was_dropped


def on_both(bench, fault, state):
    """Others of both take over, or both go on when they are no longer cut off."""
    if fault in ('cut', 'silent'):
        relays = bench.relays['worker'], bench.relays['conductor']
        for relay in relays:
            disturb(relay, fault)
        bench.go_on()
        bench.conductor.await_log(AWAY)
        bench.start_worker('others')
        for relay in relays:
            restore(relay)
        return nothing
    if fault == 'kill':
        bench.worker.signal(KILL)
    stop_or_kill_conductor(bench, fault, state)
    bench.api = bench.start_api('others')
    bench.start_worker('others')
    if fault == 'kill':
        return nothing

    def go_on():
        bench.conductor.signal(CONT)
        await_given_up(bench)

    return go_on


def disturb(relay, fault):
    if fault == 'cut':
        relay.cut()
    else:
        relay.silence()


def restore(relay):
    relay.mend()
    relay.speak()
