"""The parent of the processes under test."""

import os
import pathlib


def registered(pid):
    """How many descriptors each epoll of a process watches."""
    folder = pathlib.Path('/proc') / str(pid)
    epolls = [
        entry.name
        for entry in (folder / 'fd').iterdir()
        if os.readlink(entry) == 'anon_inode:[eventpoll]'
    ]
    return [(folder / 'fdinfo' / name).read_text().count('tfd:') for name in epolls]


def test_what_a_process_waits_for_wakes_no_other_one(start, nursery):
    service = start().await_ready()
    assert sum(registered(service.process.pid)) > 0
    assert sum(registered(nursery.pid)) == 0
