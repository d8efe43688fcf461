"""The limits of a fetch. No test waits: the seconds are arguments."""

import math

import pytest

from glance.domain import errors
from glance.image_data import transfer_limits

WINDOW = 60.0


def with_rate(rate, read_timeout=10):
    return transfer_limits.TransferLimits('http://a/', read_timeout, math.inf, 0, rate, WINDOW)


def test_a_source_above_the_rate_may_go_on_for_ever():
    limits = with_rate(512)
    for _ in range(1000):
        limits.received(1024, 1.0)
        limits.payload(1024)


def test_a_source_below_the_rate_is_given_up_after_a_window():
    limits = with_rate(512)
    for _ in range(int(WINDOW)):
        limits.received(500, 1.0)
        limits.payload(500)
    with pytest.raises(errors.SourceUnreachable) as caught:
        limits.received(500, 1.0)
    assert str(caught.value) == (
        'http://a/ was slower than minimum_rate allows (512 bytes per second).'
    )
    assert caught.value.lasting  # or it would get a new minute with each retry


def test_only_the_time_counts_in_which_it_was_waited_for():
    """A disk of ours that takes its time lets the source wait, not us."""
    limits = with_rate(10**9)
    for _ in range(1000):
        limits.received(65536, 0.0)
        limits.payload(65536)


def test_a_pause_that_the_read_timeout_allows_is_made_up_for():
    limits = with_rate(1000, read_timeout=300)
    limits.received(1, 0.0)
    limits.received(10**6, 299.0)
    limits.payload(10**6)
    limits.received(10**6, 2.0)


def test_the_time_until_the_first_byte_is_that_of_the_read_timeout():
    with_rate(10**6).received(1, 10**6)


def test_no_rate_is_no_limit():
    limits = with_rate(0)
    for _ in range(100):
        limits.received(1, 60.0)


def test_much_that_is_nothing_of_a_file_is_given_up():
    limits = with_rate(0)
    for _ in range(16):
        limits.received(65536, 0)
    with pytest.raises(errors.SourceUnreachable, match='hardly any bytes of the file'):
        limits.received(1, 0)


def test_small_chunks_are_accepted():
    limits = with_rate(0)
    for _ in range(10**5):  # "a\r\n" and ten bytes and "\r\n"
        limits.received(15, 0)
        limits.payload(10)


def test_the_whole_has_an_end():
    limits = transfer_limits.TransferLimits('http://a/', 10, 0.0, 3600.0, 0, WINDOW)
    for call in (limits.raise_if_exceeded, lambda: limits.received(1, 0)):
        with pytest.raises(errors.SourceUnreachable) as caught:
            call()
    assert str(caught.value) == ('http://a/ took longer than total_timeout allows (3600 seconds).')
    assert limits.remaining == 0


def test_no_total_timeout_is_no_end():
    assert transfer_limits.end(0) == math.inf
    assert transfer_limits.end(1) < math.inf
