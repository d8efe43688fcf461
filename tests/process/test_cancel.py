"""A cancel of an import that only a cancel can end, and kill -9 on the way to its end."""

import contextlib
import http.client

import pytest

from .conftest import KILL, TERM
from .test_conductor import conduct  # noqa: F401 - a fixture
from .test_kill_matrix import WAYS

# The points on the way from the request to the end. A killed undo is followed by a discard.
POINTS = [
    f'{when}-{name}'
    for name in (
        *('cancel', 'fail', 'undo-fetch', 'undo-create-record'),
        *('tidy-staging', 'tidy-rows'),
    )
    for when in ('before', 'after')
]
DECISIVE = [('taskflow', 'after-cancel'), ('taskflow', 'after-fail'), ('eventlet', 'after-cancel')]


def cases():
    for way in WAYS:
        for point in POINTS:
            marks = [] if (way, point) in DECISIVE else [pytest.mark.soak]
            yield pytest.param(way, point, id=f'{way}-{point}', marks=marks)


@pytest.fixture
def fetching(web):
    """fetching(api): the id of an import of a silent source that waits in its fetch."""
    web.pages['/image'] = web.silence()

    def post(api):
        task_id = api.import_(f'{web.url}/image')
        web.await_request('/image')
        return task_id

    return post


def cancel(api, task_id, reason='enough'):
    status, task = api.call('POST', f'/v2/tasks/{task_id}/cancel', {'reason': reason})
    assert status == 202, task
    return task


def check_cancelled(api, task_id):
    task = api.ended(task_id)
    assert (task['status'], task['message']) == ('failure', 'The task was cancelled on request.')
    assert (task['cancelled'], task['cancel_reason']) == (True, 'enough')


@pytest.mark.parametrize(('way', 'point'), list(cases()))
@pytest.mark.usefixtures('recorded')
def test_a_cancel_outlives_a_kill_at_any_point(start, settled, check, fetching, way, point):
    dying = start(fail_point=point, **WAYS[way]).await_ready()
    task_id = fetching(dying)
    with contextlib.suppress(OSError, http.client.HTTPException):
        cancel(dying, task_id)
    assert dying.exit_status() == -KILL, 'the point was not passed'

    api = start(**WAYS[way]).await_ready()
    if point == 'before-cancel':
        cancel(api, task_id)  # nothing has come of the first request
    check_cancelled(api, task_id)
    settled()
    api.signal(TERM)
    assert api.exit_status() == 0
    check()


@pytest.mark.usefixtures('recorded')
def test_a_cancel_reaches_another_process(start, conduct, settled, fetching, web):  # noqa: F811
    api = start(task={'conduct': False}).await_ready()
    never_begun = api.import_(f'{web.url}/image')
    assert cancel(api, never_begun)['cancelled']
    conductor = conduct().await_ready()
    task_id = fetching(api)
    cancel(api, task_id)
    check_cancelled(api, task_id)
    check_cancelled(api, never_begun)
    settled()
    assert never_begun not in conductor.log


@pytest.mark.soak
def test_a_cancel_reaches_the_child_that_runs_a_suspect(start, settled, fetching, web):
    api = start().await_ready()
    task_id = fetching(api)
    for lives in range(2, 6):  # the first of them may have made progress
        api.signal(KILL)
        assert api.exit_status() == -KILL
        api = start().await_ready()
        web.await_request('/image', lives)
        if 'runs up to 1 tasks whose processes died 2 times' in api.log:
            break
    else:
        pytest.fail('the task did not become a suspect')
    cancel(api, task_id)
    check_cancelled(api, task_id)
    settled()
