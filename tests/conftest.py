"""What all tests share: the kind of threads, and what to do without a server."""

import os

import pytest

from glance import threads

# As in glance-api, and before anything imports socket, threading or what uses them.
threads.use(threads.GREEN)


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
