"""What a fetch reports to the RunControl, and what counts as progress."""

import pytest

from glance import toolbox
from glance.domain.lease import Lease
from glance.flows.fetch_listener import MOST_TOLD, FetchListener
from glance.image_data.retries import Retry
from glance.testing.fakes.queue import FakeQueue
from glance.testing.fakes.runs import FakeRunControl
from glance.testing.fakes.toolbox import fake_toolbox


@pytest.fixture
def runs():
    made = FakeRunControl()
    toolbox.fill(fake_toolbox(FakeQueue(), made))
    yield made
    toolbox.fill(None)


@pytest.fixture
def lease():
    return Lease('t1', 1)


@pytest.fixture
def listener(runs, lease):
    return FetchListener(lease, 'i1', 'fetch')


def test_bytes_that_a_later_claim_can_use_are_progress_by_their_number(runs, listener):
    listener.on_progress(5, is_provable=True)
    assert runs.reported == [5]


def test_other_new_bytes_are_progress_and_the_same_again_are_none(runs, listener):
    for size in (5, 5, 7):
        listener.on_progress(size, is_provable=False)
    assert runs.reported == [None, None]


def test_a_silent_source_is_no_progress(runs, listener):
    listener.on_wait()
    assert runs.reported == []


def test_the_wait_for_a_retry_is_no_stall(runs, listener):
    listener.on_pause()
    assert runs.reported == [None]


def test_each_retry_is_one_line_of_the_log(listener, caplog):
    listener.on_retry(Retry(3, 'http://a/b answered 503.', 'http://c/d', 1.26))
    [record] = caplog.records
    assert record.getMessage() == (
        'Task t1: retry 3 of the fetch in 1.3 seconds, from http://c/d, because: '
        'http://a/b answered 503.'
    )
    assert (record.levelname, record.action) == ('WARNING', 'fetch_retried')


def test_the_timeline_tells_of_retries_and_of_lost_bytes(listener, lease):
    listener.on_retry(Retry(3, 'http://a/b answered 503.', 'http://c/d', 1.26))
    listener.on_begin_again('http://c/d', 7)
    retried, begun_again = lease.events.take()
    assert (retried.kind, retried.step, retried.detail) == (
        'step.retried',
        'fetch',
        {'number': 3, 'message': 'http://a/b answered 503.', 'source': 'http://c/d', 'wait': 1.3},
    )
    assert (begun_again.kind, begun_again.step, begun_again.detail) == (
        'step.begun-again',
        'fetch',
        {'source': 'http://c/d', 'bytes_lost': 7},
    )


def test_a_source_cannot_fill_the_timeline(listener, lease):
    for number in range(1, 1000):
        listener.on_retry(Retry(number, 'http://a/b answered 503.', 'http://a/b', 1))
    assert len(lease.events.take()) == MOST_TOLD
