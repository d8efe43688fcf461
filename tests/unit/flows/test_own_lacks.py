"""A step that lacks a descriptor, a buffer, memory or a thread fails no task."""

import errno

import pytest

from glance import toolbox
from glance.domain import errors, own_lack
from glance.domain.lease import Lacking
from glance.flows import step_calls
from glance.image_data import files, patience
from glance.image_data.source_request import _ErrorTranslation
from glance.interfaces.flow import Step
from glance.testing.fakes.queue import FakeQueue
from glance.testing.fakes.runs import FakeRunControl
from glance.testing.fakes.toolbox import fake_toolbox


class Raises(Step):
    """Does what the test says."""

    name = 'raises'

    def __init__(self, work):
        self.work = work

    def do(self, lease):
        self.work()


@pytest.fixture
def do():
    """do(work): what a step comes to that works so, and the outcome of its task."""
    queue = FakeQueue()
    queue.add('t1')
    [claim] = queue.claim('us', 1, seconds=30, versions={'test': 1})
    toolbox.fill(fake_toolbox(queue, FakeRunControl()))

    def done(work):
        try:
            step_calls.do(Raises(work), {'lease': claim.lease})
        except BaseException as error:
            return type(error), queue.outcome(claim.lease)[0]

    yield done
    toolbox.fill(None)


def plainly(error):
    raise error


def in_a_store(error):
    with files.named_errors('the image store'):
        raise error


def in_a_fetch(error):
    with _ErrorTranslation('http://source/', 'before it answered'):
        raise error


def in_a_plug_in(error):
    try:
        raise error
    except OSError:
        raise ValueError('a library hides the reason') from None


WAYS = [plainly, in_a_store, in_a_fetch, in_a_plug_in]


@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize('number', own_lack.KINDS)
def test_a_lack_drops_the_run(do, way, number):
    assert do(lambda: way(OSError(number, 'lacking'))) == (Lacking, None)


@pytest.mark.parametrize('way', WAYS)
def test_other_errors_of_the_system_fail_the_task(do, way):
    kind, outcome = do(lambda: way(OSError(errno.EIO, 'broken')))
    assert issubclass(kind, errors.TaskFailed)
    assert outcome == 'failure'


def test_a_connection_is_tried_again_until_there_is_room():
    answers = [OSError(errno.EMFILE, 'lacking'), 'connected']
    waited = []

    def connect():
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    assert patience.insist(connect, lambda: waited.append(1)) == 'connected'
    assert waited == [1]


def test_a_run_that_is_told_to_stop_insists_no_longer():
    def stop():
        raise Lacking

    with pytest.raises(Lacking):
        patience.insist(lambda: plainly(OSError(errno.EMFILE, 'lacking')), stop)
