"""A bad week in minutes: four processes on two hosts, a fault every two seconds, evil sources.

Every task that was answered with 201 ends as it must. README.rst says how to run it
longer, and again.
"""

import contextlib
import json
import os
import pathlib
import random
import time

import pytest

from tests import databases

from . import history
from .conftest import until
from .soak import verdict
from .soak.deployment import HOSTS, PROCESSES, Deployment
from .soak.load import Load
from .soak.schedule import faults_of, schedule
from .soak.sources import READ_TIMEOUT, Sources

SECONDS = float(os.environ.get('GLANCE_SOAK_SECONDS') or 180)
SEED = os.environ.get('GLANCE_SOAK_SEED') or str(random.randrange(10**9))
SETTLING = 600.0  # seconds after the last fault in which all has to end
TIDYING = 90.0  # seconds after the last end; a sweeper looks once a minute
POISON = pathlib.Path(__file__).parent / 'poison'
FLEETS = (('taskflow',), ('eventlet',), ('taskflow', 'eventlet'))


@pytest.mark.once
@pytest.mark.parametrize('database', databases.KINDS)
def test_a_seed_replays_its_faults(database):
    faults = schedule(7, 1800, PROCESSES, database)
    assert faults == schedule(7, 1800, PROCESSES, database)
    assert faults != schedule(8, 1800, PROCESSES, database)
    assert {fault.kind for fault in faults} == set(faults_of(database))
    assert {fault.target for fault in faults} >= set(PROCESSES)
    over = dict.fromkeys((fault.target for fault in faults), 0.0)
    for fault in faults:
        assert fault.at >= over[fault.target]  # not two at a time
        over[fault.target] = fault.at + fault.seconds


@pytest.fixture
def shared(tmp_path, missing):
    """(folder, URL of the database) of a deployment."""
    folder = tmp_path / 'soak'
    for name in ('sources', 'images', *(f'host-{host}' for host in HOSTS)):
        (folder / name).mkdir(parents=True, mode=0o700)
    with databases.with_tables(databases.CHOSEN, folder, missing, history.keep) as url:
        yield folder, url


def all_end(load, patience):
    """Wait until all tasks have ended; returns whether they did."""
    with contextlib.suppress(AssertionError):
        until(lambda: load.is_done, 'the end of all tasks', patience)
    return load.is_done


@pytest.mark.soak
@pytest.mark.on(*databases.KINDS)
@pytest.mark.timeout(SECONDS + 2 * SETTLING + TIDYING + 200)
def test_no_healthy_task_fails_in_a_bad_week(shared, web):
    folder, url = shared
    chance = random.Random(f'{SEED}/deployment')
    fleet = chance.choice(FLEETS)
    ways = {name: chance.choice(fleet) for name in PROCESSES}
    print(f'GLANCE_SOAK_SEED={SEED} GLANCE_SOAK_SECONDS={SECONDS:g} in {folder}')  # noqa: T201
    print(json.dumps(ways))  # noqa: T201
    faults = schedule(SEED, SECONDS, PROCESSES, databases.CHOSEN)
    sources = Sources(web, folder / 'sources')
    sections = {
        'import_filtering_opts': {
            'allowed_hosts': '127.0.0.1',
            'allowed_ports': web.port,
            'read_timeout': READ_TIMEOUT,
            # Longer than these processes live, a source that never gets better would have no end.
            'retry_timeout': 2,
            'retry_delay': 0.2,
        }
    }
    path = os.pathsep.join([str(POISON), *filter(None, [os.environ.get('PYTHONPATH')])])
    with contextlib.ExitStack() as stack:
        deployment = Deployment(folder, url, sections, ways, {'PYTHONPATH': path})
        stack.callback(deployment.close)
        load = Load(deployment.ports, sources, SEED)
        stack.callback(load.close)
        deployment.suffer(faults)
        load.stop_posting()
        if not all_end(load, SETTLING / 4):
            deployment.write_stacks()
            all_end(load, SETTLING)
        ended_after = time.monotonic() - deployment.last_fault
        wrong = verdict.settled(deployment, load, TIDYING)
        load.close()
        wrong += deployment.stop()
        wrong += verdict.of_processes(deployment)
    print(json.dumps(verdict.summary(deployment, load, ended_after), indent=1))  # noqa: T201
    assert not wrong, '\n'.join(wrong)
