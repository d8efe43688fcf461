"""The database goes away under a running service, and comes back."""

import contextlib
import sqlite3
import threading

import pytest
import sqlalchemy as sa

from glance.testing.source_server import Answer
from tests import databases

from .conftest import TERM, left_behind, until
from .relay import Relay

pytestmark = pytest.mark.once

PORTS = {'postgresql': 5432, 'mariadb': 3306}
WAYS = {'taskflow': {}, 'eventlet': {'task_executor': 'eventlet'}}
BITS = b'bits of an image' * 1000
OUTAGE = 'The run of task {} was stopped because the database does not answer'


@pytest.fixture(params=list(WAYS))
def task(request):
    # One attempt: an outage is none, or the task would fail.
    return {'max_attempts': 1, **WAYS[request.param]}


@pytest.fixture
def far(tmp_path, missing):
    """(Relay, URL through it) of a database on a server."""
    with databases.with_tables(databases.CHOSEN, tmp_path, missing) as url:
        url = sa.make_url(url)
        relay = Relay(url.host, url.port or PORTS[databases.CHOSEN])
        plain = {'sslmode': 'disable', 'gssencmode': 'disable'}
        query = plain if databases.CHOSEN == 'postgresql' else {}
        through = url.set(port=relay.port, query=query)
        yield relay, through.render_as_string(hide_password=False)
        relay.close()


@pytest.fixture
def slow(web):
    """A source that waits amid its answer until the event is set."""
    go_on = threading.Event()

    def body():
        yield BITS[:100]
        go_on.wait(60)
        yield BITS[100:]

    web.pages['/image'] = lambda request: Answer(body(), announced=len(BITS))
    yield go_on
    go_on.set()


def posted(api, web):
    """The status of one more POST."""
    wanted = {
        'import_from': f'{web.url}/image',
        'import_from_format': 'raw',
        'image_properties': {},
    }
    return api.call('POST', '/v2/tasks', {'type': 'import', 'input': wanted})[0]


def succeeded(api, task_id, state):
    ended = api.ended(task_id)
    assert ended['status'] == 'success', ended
    image_id = ended['result']['image_id']
    assert api.call('GET', f'/v2/images/{image_id}/file') == (200, BITS)
    until(lambda: len(left_behind(state)) == 1, 'the end of tidying up')
    api.signal(TERM)
    assert api.exit_status() == 0
    assert left_behind(state)[0].startswith(f'images/{image_id}.')


@pytest.mark.on(*databases.SERVERS)
def test_a_run_that_the_database_leaves_is_dropped_and_goes_on(start, state, web, far, slow, task):
    relay, url = far
    api = start(database={'connection': url}, task=task).await_ready()
    task_id = api.import_(f'{web.url}/image')
    web.await_request('/image')
    relay.cut()
    assert api.call('GET', '/v2/tasks')[0] == 503
    assert posted(api, web) == 503
    slow.set()
    api.await_log(OUTAGE.format(task_id))
    relay.mend()
    succeeded(api, task_id, state)
    assert 'Traceback' not in api.log


@pytest.mark.on(*databases.SERVERS)
def test_a_commit_whose_answer_gets_lost_stands(start, state, web, far, task):
    relay, url = far
    web.pages['/image'] = BITS
    api = start(database={'connection': url}, task=task).await_ready()
    relay.lose_answer_to(b'UPDATE image_locations', b'COMMIT')
    task_id = api.import_(f'{web.url}/image')
    until(relay.lost.is_set, 'the commit')
    api.await_log(OUTAGE.format(task_id))
    relay.mend()
    succeeded(api, task_id, state)
    assert len(web.requests) == 1  # the image was not made twice
    assert 'Traceback' not in api.log


def test_a_locked_sqlite_is_waited_for(start, state, web, slow, task):
    api = start(task=task).await_ready()
    task_id = api.import_(f'{web.url}/image')
    web.await_request('/image')
    with contextlib.closing(sqlite3.connect(state / 'glance.sqlite')) as other:
        other.execute('BEGIN IMMEDIATE')
        slow.set()
        api.await_log(OUTAGE.format(task_id))
        assert posted(api, web) == 503
        assert api.call('GET', '/v2/tasks')[0] == 200  # others may still read
        other.rollback()
    succeeded(api, task_id, state)
