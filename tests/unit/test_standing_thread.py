"""Waiting for a thread of the process, on each Python and kind of threads."""

import threading

from glance.threads import StandingThread


def test_who_waits_for_it_gives_up_when_the_time_is_over():
    go_on = threading.Event()
    thread = StandingThread('one', go_on.wait, 20)
    thread.start()
    for seconds in (0, 0.01):
        thread.join(seconds)  # raises nothing, not even eventlet's Timeout
        assert thread.is_alive()
    go_on.set()
    thread.join()
    assert thread._ended.is_set()
