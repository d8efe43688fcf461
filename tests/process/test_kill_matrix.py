"""kill -9 at every point of a task's life; started again, it ends as it should."""

import contextlib
import http.client

import pytest

from glance.flows import import_image
from tests import databases

from .conftest import KILL, TERM
from .fail_points import points

CONTENT = b'bits of an image' * 1000
WAYS = {'taskflow': {}, 'eventlet': {'task': {'task_executor': 'eventlet'}}}
STEPS = [step.name for step in import_image.ImportImage.flow.all_steps()]
# Around the transactions that decide what the next claim does.
DECISIVE = ('after-post', 'after-claim', 'after-remember', 'after-commit', 'after-fail')
FAILING = 'check'  # the step that ends a run that fails
# What a run that succeeds, or one that fails, never passes; test_cancel.py has those that are
# cancelled. Parts of the names of points: "do-store" is also part of "undo-store".
NEVER = {
    'success': ('undo-', '-fail', '-cancel'),
    'failure': (
        '-cancel',
        f'after-do-{FAILING}',
        *(f'do-{later}' for later in STEPS[STEPS.index(FAILING) + 1 :]),
        '-put',
        '-commit',
    ),
}


def cases():
    for way in WAYS:
        for end in ('success', 'failure'):
            for point in points():
                if any(part in point for part in NEVER[end]):
                    continue
                if way == 'eventlet' and 'remember' in point:
                    continue
                often = way == 'taskflow' and is_tried_often(point)
                marks = [pytest.mark.on(*databases.KINDS) if often else pytest.mark.soak]
                yield pytest.param(way, end, point, id=f'{way}-{end}-{point}', marks=marks)


def is_tried_often(point):
    """Whether a point belongs to each run: all of them on SQLite, these on a server."""
    return databases.CHOSEN == 'sqlite' or point in DECISIVE


def serve(web, end):
    """The source of an import that ends like this: a failing one is no qcow2."""
    web.pages['/image'] = CONTENT
    return f'{web.url}/image', 'raw' if end == 'success' else 'qcow2'


@pytest.mark.parametrize(('way', 'end', 'point'), list(cases()))
@pytest.mark.usefixtures('recorded')
def test_a_task_killed_at_any_point_ends_as_it_should(start, settled, check, web, way, end, point):
    address, format_ = serve(web, end)
    dying = start(fail_point=point, **WAYS[way]).await_ready()
    accepted = None
    with contextlib.suppress(OSError, http.client.HTTPException):
        accepted = dying.import_(address, format_)
    assert dying.exit_status() == -KILL, 'the point was not passed'

    api = start(**WAYS[way]).await_ready()
    tasks = api.call('GET', '/v2/tasks')[1]['tasks']
    assert accepted is None or [task['id'] for task in tasks] == [accepted]
    for task in tasks:
        api.ended(task['id'])
    ends = settled({address: CONTENT})
    assert {status for status, _message, _image in ends.values()} <= {end}
    if end == 'failure':
        assert all('qcow2' in message for _status, message, _image in ends.values())
    api.signal(TERM)
    assert api.exit_status() == 0
    check()
