"""glance-manage worker list, with real workers."""

import re
import uuid

import pytest

from glance.domain.remote_steps import Announcement, Question
from tests import brokers

from .conftest import PATIENCE, TERM, until
from .workers import worker_list

brokers.import_kombu()
pytestmark = [pytest.mark.soak, pytest.mark.once]  # they need brokers

from glance.messaging import configured  # noqa: E402
from glance.messaging.broker import Broker  # noqa: E402
from glance.messaging.link import Link  # noqa: E402

NOTICED = 5.0  # seconds in which a worker that comes or goes has to be noticed


@pytest.fixture(params=['redis', 'amqp'])
def where(request, missing):
    return brokers.address(request.param, missing)


@pytest.fixture
def sections(where):
    return {
        'taskflow_executor': {'engine_mode': 'worker-based'},
        'taskflow_workers': where.options(),
    }


@pytest.fixture
def start_worker(begin_worker, config, sections):
    """start_worker(**more): a glance-worker; more sections are its own."""
    return lambda **more: begin_worker(config(**sections, **more))


@pytest.fixture
def listed(config, sections):
    """listed(): the lines of the table without its headings, in words."""

    return lambda: worker_list(config(**sections))


@pytest.fixture
def link(where):
    """link(receive): reads what is announced to all."""
    begun = []

    def start(receive):
        broker = Broker(where.transport, where.url, where.exchange)
        begun.append(Link(broker, uuid.uuid4().hex, receive))
        begun[-1].start()
        assert begun[-1].wait_for_echo(PATIENCE)
        return begun[-1]

    yield start
    for one in begun:
        one.stop()


def test_workers_are_listed_with_why_they_are_not_used(
    start_worker, listed, link, where, tmp_path
):
    worker = start_worker()
    there = start_worker(DEFAULT={'state_path': tmp_path / 'elsewhere'})  # with its own database
    name = f'{where.exchange}.older'
    older = Announcement(name, 'zzz', 'area', '0.0.1', 'here', ['default'], ['file'], 1, 1)
    other = link(lambda message: isinstance(message, Question) and other.send_to_all(older))
    by_pid = {line[1].split('.')[-2]: line for line in listed() if line[1] != name}
    used = by_pid[str(worker.process.pid)]
    assert used[2] == 'default'
    assert re.fullmatch(r'import:\d+', used[3])
    assert used[4:7] == ['filesystem', '500/500', configured.version()]
    assert used[9:] == ['yes']
    unused = by_pid[str(there.process.pid)]
    assert unused[9:] == ['no:', 'another', 'deployment', 'than', used[7]]
    assert unused[7] != used[7]
    assert listed()[2][1] == name


def test_a_worker_that_stops_is_listed_no_more(start_worker, listed):
    start_worker()
    [line] = listed()
    second = start_worker()
    assert len(listed()) == 2
    second.signal(TERM)
    assert second.exit_status() == 0
    assert [one[1] for one in listed()] == [line[1]]


def test_a_worker_that_comes_or_goes_is_noticed_within_seconds(start_worker, link):
    """Without a question: conductors ask only when they start."""
    heard = []
    link(heard.append)
    worker = start_worker()
    until(lambda: heard, 'its announcement', NOTICED)
    assert not heard[-1].leaving
    worker.signal(TERM)
    until(lambda: heard[-1].leaving, 'that it leaves', NOTICED)
