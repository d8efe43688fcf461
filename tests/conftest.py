"""What all tests share: the kind of threads, and what to do without a server."""

import os

import pytest

from glance import threads

# As in glance-api, and before anything imports socket, threading or what uses them.
threads.use(threads.GREEN)


CHOSEN = os.environ.get('GLANCE_TEST_DATABASE') or 'sqlite'


def pytest_configure(config):
    config.addinivalue_line('markers', 'green: needs green threads')
    config.addinivalue_line(
        'markers', 'once: the same whatever GLANCE_TEST_DATABASE is, so it runs with sqlite only'
    )


def pytest_collection_modifyitems(config, items):
    if CHOSEN != 'sqlite':
        _leave_out(config, items, _is_run_with_sqlite)
    _skip_green(items)


def _leave_out(config, items, true):
    out = [item for item in items if true(item)]
    items[:] = [item for item in items if not true(item)]
    config.hook.pytest_deselected(items=out)


def _is_run_with_sqlite(item):
    """What is marked, and suites of contracts that are not those of the chosen database."""
    if item.get_closest_marker('once'):
        return True
    return 'contract' in item.path.parts and getattr(item.cls, 'kind', None) != CHOSEN


def _skip_green(items):
    """In a native process skip what only a green one can do.

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
