"""kill -9 at every point of a task that somebody has cancelled there, and of one that is a retry.

test_cancel.py has the points that a cancel itself passes, test_kill_matrix.py is the whole list.
"""

import contextlib
import http.client

import pytest

from .conftest import KILL, TERM, until
from .fail_points import points
from .test_cancel import check_cancelled
from .test_fence import is_stopped, post
from .test_kill_matrix import CONTENT, NEVER, WAYS, serve

# From here on the task has its outcome, and a cancel comes too late.
DECIDED = {
    'success': ('after-commit', 'after-do-finish', 'tidy-'),
    'failure': ('after-fail', 'undo-', 'tidy-'),
}
OFTEN = {
    'cancel': [
        ('taskflow', 'before-commit'),
        ('taskflow', 'after-commit'),
        ('eventlet', 'after-do-store'),
    ],
    'retry': [
        ('taskflow', 'after-post'),
        ('taskflow', 'after-do-store'),
        ('eventlet', 'after-claim'),
    ],
}


def cases(request):
    for way in WAYS:
        for end in ('success', 'failure'):
            for point in points():
                is_new = end == 'success' or 'undo-' in point or '-fail' in point
                passed = not any(part in point for part in NEVER[end])
                if not (is_new and passed) or (way == 'eventlet' and 'remember' in point):
                    continue
                marks = [] if (way, point) in OFTEN[request] else [pytest.mark.soak]
                yield pytest.param(way, end, point, id=f'{way}-{end}-{point}', marks=marks)


@pytest.mark.parametrize(
    ('way', 'end', 'point'), [case for case in cases('cancel') if case.values[2] != 'before-post']
)
@pytest.mark.usefixtures('recorded')
def test_a_cancel_of_a_process_that_dies_at_any_point(start, settled, web, way, end, point):
    """Another process accepts the cancel, while that of the task stands still. Then that dies."""
    address, format_ = serve(web, end)
    dying = start(fail_point=f'{point}:1:STOP', **WAYS[way]).await_ready()
    posted = post(dying, address, format_)
    until(lambda: is_stopped(dying), f'a stop at {point}')

    api = start(**WAYS[way]).await_ready()
    [task] = api.call('GET', '/v2/tasks')[1]['tasks']
    is_decided = any(part in point for part in DECIDED[end])
    assert cancelled(api, task['id']) == (409 if is_decided else 202)
    dying.signal(KILL)
    posted.close()

    if is_decided:
        ended = api.ended(task['id'])
        assert (ended['status'], ended.get('cancelled')) == (end, None)
    else:
        check_cancelled(api, task['id'])
    settled({address: CONTENT})


@pytest.mark.parametrize(('way', 'end', 'point'), list(cases('retry')))
@pytest.mark.usefixtures('recorded')
def test_a_retry_that_is_killed_at_any_point_ends_as_it_should(
    start, settled, web, way, end, point
):
    """The client that got no answer asks again with its key: there is one retry."""
    address, format_ = serve(web, end)
    del web.pages['/image']
    first = start(**WAYS[way]).await_ready()
    failed = first.import_(address, format_)
    assert first.ended(failed)['status'] == 'failure'
    first.signal(TERM)
    assert first.exit_status() == 0

    serve(web, end)
    dying = start(fail_point=point, **WAYS[way]).await_ready()
    with contextlib.suppress(OSError, http.client.HTTPException):
        retry(dying, failed)
    assert dying.exit_status() == -KILL, 'the point was not passed'

    api = start(**WAYS[way]).await_ready()
    again = retry(api, failed)
    ended = api.ended(again['id'])
    assert (ended['status'], ended['retry_of']) == (end, failed)
    assert end == 'success' or 'qcow2' in ended['message']
    assert set(settled({address: CONTENT})) == {failed, again['id']}


def cancelled(api, task_id):
    """The status of the answer to a cancel.

    It is 503 as long as the process that stands still keeps a lock, of another thread's
    transaction: a server ends such a transaction after a while.
    """

    def answered():
        status, _task = api.call('POST', f'/v2/tasks/{task_id}/cancel', {'reason': 'enough'})
        return status if status != 503 else None

    return until(answered, 'an answer to the cancel')


def retry(api, task_id):
    status, task = api.call(
        'POST', f'/v2/tasks/{task_id}/retry', headers={'Idempotency-Key': 'once'}
    )
    assert status == 201, task
    return task
