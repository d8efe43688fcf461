"""With the times that are the default, another worker goes on within ten seconds of a loss."""

import signal
import time
import urllib.parse

import pytest

from tests import brokers

from .conftest import until
from .held_page import HeldPage
from .relay import Relay

brokers.import_kombu()
pytestmark = pytest.mark.once

CONTENT = bytes(range(256)) * 4096
NOTICED = 10.0  # seconds from the loss of a worker to the begin of its step at another one
FAULTS = {
    'kill': lambda worker, relay: worker.signal(signal.SIGKILL),
    'stop': lambda worker, relay: worker.signal(signal.SIGSTOP),
    'cut': lambda worker, relay: relay.cut(),
    'silent': lambda worker, relay: relay.silence(),
}
CASES = [
    # One is in each run; the others take as long.
    pytest.param(
        *(transport, fault),
        marks=[] if (transport, fault) == ('redis', 'kill') else pytest.mark.soak,
    )
    for transport in ('redis', 'amqp')
    for fault in FAULTS
]


@pytest.fixture
def sections(transport, missing):
    """The configuration of all processes but the worker that is lost."""
    where = brokers.address(transport, missing)
    return {
        'taskflow_executor': {'engine_mode': 'worker-based'},
        'taskflow_workers': where.options(),
    }


@pytest.fixture
def relay(sections):
    """The way of the worker that is lost to the broker."""
    parts = urllib.parse.urlsplit(sections['taskflow_workers']['address'])
    relay = Relay(parts.hostname, parts.port)
    yield relay
    relay.close()


@pytest.fixture
def start_worker(begin_worker, config, sections):
    """start_worker(port): a glance-worker whose broker is at this port of the loopback."""

    def begin(port=None):
        options = dict(sections['taskflow_workers'])
        if port is not None:
            parts = urllib.parse.urlsplit(options['address'])
            options['address'] = options['address'].replace(
                f'{parts.hostname}:{parts.port}', f'127.0.0.1:{port}'
            )
        debug = {'debug': True}  # so that its steps are in the log
        return begin_worker(config(**sections | {'taskflow_workers': options, 'DEFAULT': debug}))

    return begin


@pytest.fixture
def page(web):
    web.pages['/image'] = page = HeldPage(CONTENT)
    yield page
    page.go_on.set()


@pytest.mark.parametrize(('transport', 'fault'), CASES)
def test_a_lost_worker_is_noticed_and_its_step_goes_on_elsewhere(
    start, sections, start_worker, relay, web, page, settled, fault
):
    api = start(**sections).await_ready()
    lost = start_worker(relay.port)
    task_id = api.import_(f'{web.url}/image')
    web.await_request('/image')
    other = start_worker()
    FAULTS[fault](lost, relay)
    at = time.monotonic()
    until(lambda: (task_id, 'fetch') in other.steps(), 'the next claim', NOTICED)
    print(f'{fault}: {time.monotonic() - at:.1f} s to the next claim')  # noqa: T201 - with -rP
    assert 'it counts as lost' in api.log
    page.go_on.set()
    assert api.ended(task_id)['status'] == 'success'
    settled({f'{web.url}/image': CONTENT})
