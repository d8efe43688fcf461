"""What becomes of tasks while the process that runs them lacks something of its own."""

import os
import re
import resource

import pytest

from .conductors import Conductor
from .conftest import until

IMPORTS = 5


@pytest.fixture
def conductor(tmp_path, nursery):
    """begin(): a glance-conductor with the file that the API was started with."""
    begun = []

    def begin():
        made = Conductor(tmp_path / 'glance-api.conf', tmp_path / 'conductor.log', nursery=nursery)
        begun.append(made)
        return made

    yield begin
    for made in begun:
        made.end()


@pytest.mark.soak
@pytest.mark.parametrize('executor', ['taskflow', 'eventlet'])
@pytest.mark.parametrize('spare', [0, 1, 2, 3])
def test_a_lack_of_descriptors_is_waited_for(start, conductor, web, executor, spare):
    """Whichever descriptor it is that cannot be had: of a connection, of a file, of a folder."""
    web.pages['/image'] = b'bits' * 2**20
    sections = {'task': {'conduct': False, 'task_executor': executor}}
    api = start(**sections).await_ready()
    runner = conductor()
    runner.await_ready()
    warm = api.import_(f'{web.url}/image')
    assert api.ended(warm)['status'] == 'success'
    usual = resource.prlimit(runner.process.pid, resource.RLIMIT_NOFILE)
    used = max(int(number) for number in os.listdir(f'/proc/{runner.process.pid}/fd')) + 1
    resource.prlimit(runner.process.pid, resource.RLIMIT_NOFILE, (used + spare, usual[1]))
    posted = [api.import_(f'{web.url}/image') for _ in range(IMPORTS)]
    until(
        lambda: (
            re.search('Too many open files|lacks descriptors', runner.log)
            or all(api.task(task_id)['status'] == 'success' for task_id in posted)
        ),
        'a lack, or the end of all',
    )
    resource.prlimit(runner.process.pid, resource.RLIMIT_NOFILE, usual)
    ends = [api.ended(task_id) for task_id in posted]
    assert [end['status'] for end in ends] == ['success'] * IMPORTS, [e['message'] for e in ends]
