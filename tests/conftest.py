"""What all tests share: the kind of threads, and what to do without a server."""

import os

import pytest

from glance import threads

# As in glance-api, and before anything imports socket, threading or what uses them.
threads.use(threads.GREEN)


def pytest_configure(config):
    config.addinivalue_line('markers', 'green: needs green threads')


def pytest_collection_modifyitems(items):
    """In a native process leave out what only a green one can do.

    That is what is marked, and whatever has the eventlet executor as a parameter.
    """
    if threads.is_green():
        return
    skip = pytest.mark.skip(reason='GLANCE_THREADS=native')
    for item in items:
        given = getattr(item, 'callspec', None)
        named = (
            [value for value in given.params.values() if isinstance(value, str)] if given else []
        )
        if item.get_closest_marker('green') or any(
            value.startswith('eventlet') for value in named
        ):
            item.add_marker(skip)


@pytest.fixture(scope='session')
def missing():
    """To be called with what a test cannot do without: missing('No qemu-img here.').

    Skips the test; fails it where GLANCE_TEST_SERVERS=required says that
    everything was installed, as in CI.
    """

    def say(what):
        if os.environ.get('GLANCE_TEST_SERVERS') == 'required':
            pytest.fail(f'{what} Here it is required: GLANCE_TEST_SERVERS=required.')
        pytest.skip(what)

    return say
