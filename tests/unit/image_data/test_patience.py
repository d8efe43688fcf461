"""How long a source is borne with; no test waits, seconds are given."""

import math

import pytest

from glance.domain import errors
from glance.image_data import patience


def with_rate(rate, read_timeout=10):
    return patience.Patience('http://a/', read_timeout, math.inf, 0, rate)


def test_a_source_above_the_rate_may_go_on_for_ever():
    bearing = with_rate(512)
    for _ in range(1000):
        bearing.heard(1024, 1.0)
        bearing.useful(1024)


def test_a_source_below_the_rate_is_given_up_after_a_window():
    bearing = with_rate(512)
    for _ in range(int(patience.WINDOW)):
        bearing.heard(500, 1.0)
        bearing.useful(500)
    with pytest.raises(errors.SourceUnreachable) as caught:
        bearing.heard(500, 1.0)
    assert str(caught.value) == (
        'http://a/ was slower than minimum_rate allows (512 bytes per second).'
    )


def test_only_the_time_counts_in_which_it_was_waited_for():
    """A disk of ours that takes its time lets the source wait, not us."""
    bearing = with_rate(10**9)
    for _ in range(1000):
        bearing.heard(65536, 0.0)
        bearing.useful(65536)


def test_a_pause_that_the_read_timeout_allows_is_made_up_for():
    bearing = with_rate(1000, read_timeout=300)
    bearing.heard(1, 0.0)
    bearing.heard(10**6, 299.0)
    bearing.useful(10**6)
    bearing.heard(10**6, 2.0)


def test_the_time_until_the_first_byte_is_that_of_the_read_timeout():
    with_rate(10**6).heard(1, 10**6)


def test_no_rate_is_no_limit():
    bearing = with_rate(0)
    for _ in range(100):
        bearing.heard(1, 60.0)


def test_much_that_is_nothing_of_a_file_is_given_up():
    bearing = with_rate(0)
    for _ in range(16):
        bearing.heard(65536, 0)
    with pytest.raises(errors.SourceUnreachable, match='next to nothing of a file'):
        bearing.heard(1, 0)


def test_small_chunks_are_borne():
    bearing = with_rate(0)
    for _ in range(10**5):  # "a\r\n" and ten bytes and "\r\n"
        bearing.heard(15, 0)
        bearing.useful(10)


def test_the_whole_has_an_end():
    bearing = patience.Patience('http://a/', 10, 0.0, 3600.0, 0)
    for call in (bearing.check, lambda: bearing.heard(1, 0)):
        with pytest.raises(errors.SourceUnreachable) as caught:
            call()
    assert str(caught.value) == ('http://a/ took longer than total_timeout allows (3600 seconds).')
    assert bearing.remaining == 0


def test_no_total_timeout_is_no_end():
    assert patience.end(0) == math.inf
    assert patience.end(1) < math.inf
