"""What all tests share: the kind of threads, and what to do without a server."""

import os
import pathlib
import sys

import pytest

from glance import threads


def pytest_plugin_registered(plugin, plugin_name):
    """The first that pytest says: its options, before it imports any other file of the tests.

    Threads are green as in glance-api, from before anything imports socket, threading
    or what uses them; but not in the process that only hands the tests to others.
    """
    if plugin_name != 'pytestconfig':
        return
    is_worker = 'PYTEST_XDIST_WORKER' in os.environ
    options = plugin.known_args_namespace
    hands_out = getattr(options, 'numprocesses', None) and not options.collectonly
    if is_worker or not hands_out:
        threads.use(threads.GREEN)
    if is_worker:
        _keep_execnet_native()


def _keep_execnet_native():
    """A worker hears from a native thread what to run next.

    It shares with it a lock and an event that are made after this. Green ones
    would wake nobody across threads.
    """
    from execnet import gateway_base

    native = threads.original('threading')
    gateway_base.ThreadExecModel.RLock = lambda _: native.RLock()
    gateway_base.ThreadExecModel.Event = lambda _: native.Event()


HERE = pathlib.Path(__file__).parent
LONGEST_FIRST = ('process', 'integration', 'contract', 'http', 'unit')
# What takes minutes on a database server; each run has it on SQLite.
MANY_TASKS = {'test_200_tasks_at_once_all_end', 'test_many_imports_at_once_all_succeed'}
SHARE_SERVERS = ('process/test_wire_of_servers.py',)
CHOSEN = os.environ.get('GLANCE_TEST_DATABASE') or 'sqlite'


def pytest_configure(config):
    config.addinivalue_line('markers', 'green: needs green threads')
    config.addinivalue_line(
        'markers', 'once: the same whatever GLANCE_TEST_DATABASE is, so it runs with sqlite only'
    )
    config.addinivalue_line(
        'markers', 'on(*kinds): runs where GLANCE_TEST_DATABASE is one of these kinds'
    )
    config.addinivalue_line('markers', 'soak: too long for each run; -m soak runs it')


def pytest_unconfigure():
    if 'tests.databases' in sys.modules:
        sys.modules['tests.databases'].close()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Tests of a file that shares servers among them run in one process.

    Marks of --dist loadgroup do not reach the scheduler with pytest 9.2: it tells them by
    the name of a test, which can no longer be changed.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path = nodeid.split('::')[0]
            return path if path.endswith(SHARE_SERVERS) else nodeid

    return Scheduling(config, log)


@pytest.hookimpl(tryfirst=True)  # before -m looks at the markers
def pytest_collection_modifyitems(config, items):
    from tests import databases  # not above, where the kind of threads is not chosen yet

    if CHOSEN not in databases.KINDS:
        raise pytest.UsageError(
            f'GLANCE_TEST_DATABASE={CHOSEN} is none of: {", ".join(databases.KINDS)}.'
        )
    for item in items:
        if _has_parameter(item, 'taskflow-serial'):
            item.add_marker('soak')  # for each run its contract is enough
        if _is_of_processes_on_a_server(item) or (
            CHOSEN != 'sqlite' and item.originalname in MANY_TASKS
        ):
            item.add_marker('soak')
    _leave_out(config, items, _is_run_with_another_database)
    if 'soak' not in config.option.markexpr:
        _leave_out(config, items, lambda item: item.get_closest_marker('soak'))
    _skip_green(items)
    # What takes long comes first, so that at the end nobody waits for one last test.
    items.sort(key=lambda item: LONGEST_FIRST.index(item.path.relative_to(HERE).parts[0]))


def _leave_out(config, items, true):
    out = [item for item in items if true(item)]
    items[:] = [item for item in items if not true(item)]
    config.hook.pytest_deselected(items=out)


def _is_run_with_another_database(item):
    """What is marked, and on a server what does not use the fixture "database"."""
    only = item.get_closest_marker('on')
    if only:
        return CHOSEN not in only.args
    return CHOSEN != 'sqlite' and (
        item.get_closest_marker('once') is not None or 'database' not in item.fixturenames
    )


def _is_of_processes_on_a_server(item):
    """On a server, each run has the tests of processes that say so by the mark "on"."""
    return (
        CHOSEN != 'sqlite'
        and 'process' in item.path.relative_to(HERE).parts
        and item.get_closest_marker('on') is None
    )


def _skip_green(items):
    """In a native process skip what only a green one can do.

    That is what is marked, and whatever has the eventlet executor as a parameter.
    """
    if threads.is_green():
        return
    skip = pytest.mark.skip(reason='GLANCE_THREADS=native')
    for item in items:
        if item.get_closest_marker('green') or _has_parameter(item, 'eventlet'):
            item.add_marker(skip)


def _has_parameter(item, begin):
    """Whether one of the parameters of a test begins like this."""
    given = getattr(item, 'callspec', None)
    return given is not None and any(
        isinstance(value, str) and value.startswith(begin) for value in given.params.values()
    )


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
