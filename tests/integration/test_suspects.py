"""What becomes of suspects where their child processes cannot be used."""

import pytest

from glance.domain.suspects import SUSPECT_DEATHS
from glance.engine.child_process import ChildProcesses
from glance.engine.suspect_runner import SuspectRunner
from glance.testing.fakes.queue import FakeQueue


@pytest.fixture
def queue():
    """A queue with one suspect."""
    made = FakeQueue()
    made.add('t1')
    for _ in range(SUSPECT_DEATHS):
        assert made.claim('dead', 1, seconds=30, versions={'test': 1})
        made.expire(['dead'])
    return made


def test_children_that_cannot_be_used_leave_suspects_to_the_runner(queue, tmp_path, caplog):
    children = ChildProcesses(tmp_path, ['--config-file', str(tmp_path / 'missing.conf')])
    runner = SuspectRunner(queue, children)
    runner.start()
    try:
        assert queue.suspects_here is False
        assert queue.claim('a', 1, seconds=30, versions={'test': 1}) == []
        queue.wait_until(lambda: queue.suspects_here, every=0.05)
    finally:
        runner.stop(0)
    assert 'ended with status 1. They run here, one at a time' in caplog.text
    [claim] = queue.claim('a', 1, seconds=30, versions={'test': 1})
    assert claim.deaths == SUSPECT_DEATHS
    assert list(tmp_path.glob('*.owner')) != []  # it is removed once no entry names it
