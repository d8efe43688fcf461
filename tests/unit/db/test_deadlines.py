"""One time for all that a transaction waits for."""

import threading

from glance.db import deadlines


def test_without_a_block_there_is_no_limit():
    assert deadlines.left() is None


def test_an_inner_block_cannot_give_more_time():
    with deadlines.within(5):
        with deadlines.within(100):
            assert 4 < deadlines.left() <= 5
        with deadlines.within(1):
            assert deadlines.left() <= 1
        with deadlines.within(None):
            assert 4 < deadlines.left() <= 5
    assert deadlines.left() is None


def test_time_that_is_over_is_none_left():
    with deadlines.within(-1):
        assert deadlines.left() == 0


def test_another_thread_has_its_own_time():
    found = []
    with deadlines.within(5):
        thread = threading.Thread(target=lambda: found.append(deadlines.left()))
        thread.start()
        thread.join()
    assert found == [None]


def test_the_limits_of_a_server_end_before_those_of_its_clients():
    assert deadlines.LOCK_TIME < deadlines.STATEMENT_TIME < deadlines.TRANSACTION_TIME < 10
