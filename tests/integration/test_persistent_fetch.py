"""Imports from sources that break: retries, mirrors and checksums, with each executor."""

import hashlib
import json
import random
import threading
import time

import pytest
import sqlalchemy as sa

from glance.db.models import task_queue
from glance.testing.observed_queue import PATIENCE
from glance.testing.source_server import Answer

from .conftest import ADMIN, EXECUTORS

BODY = random.Random(1).randbytes(3 * 2**20)
SOME = 2**20 + 5  # bytes before the source breaks
TAG = [('ETag', '"mine"')]
QUICK = {'retry_timeout': 60, 'retry_delay': 0.01, 'retry_delay_max': 0.02}

each_executor = pytest.mark.parametrize('executor', EXECUTORS)


def in_turn(*pages):
    """A page that is another one for each request, and stays the last one."""
    left = list(pages)
    return lambda _request: left.pop(0) if len(left) > 1 else left[0]


def posted(service, import_from, **more):
    given = {'import_from': import_from, 'import_from_format': 'raw', 'image_properties': {}}
    answer = service.post({'type': 'import', 'input': given | more})
    assert answer.status_int == 201, answer.text
    return answer.json


def content(service, task):
    assert task['status'] == 'success', task['message']
    image_id = task['result']['image_id']
    assert service.files() == [f'images/{image_id}.1']
    return service.call('GET', f'/v2/images/{image_id}/file').body


def begins(web, path):
    asked = [one for one in web.requests if one.path == path]
    return [int(one.headers.get('range', 'bytes=0-')[6:-1]) for one in asked]


@each_executor
def test_an_import_survives_its_source(executor, make_service, web, caplog):
    web.pages['/a'] = in_turn(
        Answer(BODY, cut=SOME), Answer(status=503), Answer(BODY, cut=2 * SOME), Answer(BODY)
    )
    service = make_service(executor, import_filtering_opts=QUICK).start()
    task = service.ended(posted(service, f'{web.url}/a')['id'])
    assert content(service, task) == BODY
    assert begins(web, '/a') == [0, SOME, SOME, 2 * SOME]
    retried = [one for one in caplog.records if getattr(one, 'action', '') == 'fetch_retried']
    assert len(retried) == 3
    assert all(task['id'] in one.getMessage() for one in retried)


@each_executor
def test_mirrors_and_a_checksum(executor, make_service, web):
    """The first breaks, the second has another file, the third is right."""
    web.pages['/a'] = in_turn(Answer(BODY, headers=TAG, cut=SOME), Answer(status=410))
    web.pages['/b'] = bytes(len(BODY))
    web.pages['/c'] = BODY
    service = make_service(executor, import_filtering_opts=QUICK).start()
    urls = [f'{web.url}/{name}' for name in 'abc']
    checksum = 'sha256:' + hashlib.sha256(BODY).hexdigest().upper()
    task = posted(service, urls, import_checksum=checksum)
    assert task['input']['import_from'] == urls
    assert task['input']['import_checksum'] == checksum
    ended = service.ended(task['id'])
    assert content(service, ended) == BODY
    assert ended['input'] == task['input']


@each_executor
def test_another_file_than_expected_is_not_stored(executor, make_service, web):
    web.pages['/a'] = BODY
    service = make_service(executor, import_filtering_opts=QUICK).start()
    task = posted(service, f'{web.url}/a?key=secret', import_checksum='md5:' + '0' * 32)
    ended = service.ended(task['id'])
    actual = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
    assert ended['status'] == 'failure'
    assert ended['message'] == (
        f'{web.url}/a?key=*** sent a file whose checksum is md5:{actual}, '
        f'but "import_checksum" is md5:{"0" * 32}.'
    )
    assert service.files() == []
    assert service.call('GET', '/v2/images').json['images'] == []


@each_executor
def test_a_fetch_that_is_given_up_says_how_often_and_how_long_it_was_tried(
    executor, make_service, web
):
    web.pages['/a'] = in_turn(Answer(BODY, cut=SOME), Answer(status=503))
    service = make_service(executor, import_filtering_opts=QUICK | {'retry_timeout': 0.2}).start()
    ended = service.ended(posted(service, f'{web.url}/a?key=secret')['id'])
    tries = len(web.requests)
    assert ended['status'] == 'failure'
    assert ended['message'].startswith(
        f'{web.url}/a?key=*** answered 503 Service Unavailable; tried {tries} times in '
    )
    assert service.files() == []


class Waiting:
    """An import that waits for its next try, for much longer than a test may take."""

    def __init__(self, make_service, web, caplog, executor):
        self.failed = threading.Event()
        self.web = web
        web.pages['/a'] = self.page
        self.options = {'retry_timeout': 6000, 'retry_delay': 1000, 'retry_delay_max': 1000}
        self.make = lambda **limits: make_service(
            executor, import_filtering_opts=self.options | limits
        ).start()
        self.service = self.make()
        self.task_id = posted(self.service, f'{web.url}/a')['id']
        assert self.failed.wait(PATIENCE)
        until = time.monotonic() + PATIENCE
        # What a stop finds waiting for the disk is fetched again.
        while not ('retry 1 of the fetch' in caplog.text and SOME in self._sizes()):
            assert time.monotonic() < until
            time.sleep(0.01)

    def _sizes(self):
        return [(self.service.state / name).stat().st_size for name in self.service.files()]

    def page(self, request):
        self.failed.set()
        return Answer(BODY, cut=SOME)


@pytest.fixture
def waiting(make_service, web, caplog):
    return lambda executor: Waiting(make_service, web, caplog, executor)


@each_executor
def test_a_cancel_is_heard_in_the_wait_for_a_retry(executor, waiting):
    story = waiting(executor)
    story.service.application.services.tasks.cancel(story.task_id, by=ADMIN)
    ended = story.service.ended(story.task_id)
    assert ended['message'] == 'The task was cancelled on request.'
    assert story.service.files() == []


def test_a_stop_is_heard_in_the_wait_for_a_retry_and_the_next_run_goes_on(waiting):
    story = waiting('taskflow-parallel')
    story.service.stop(grace=0)
    story.web.pages['/a'] = BODY
    service = story.make()
    ended = service.ended(story.task_id)
    assert ended['status'] == 'success', ended['message']
    assert begins(story.web, '/a') == [0, SOME]
    image_id = ended['result']['image_id']
    assert service.call('GET', f'/v2/images/{image_id}/file').body == BODY
    assert service.files() == [f'images/{image_id}.2']


def test_a_task_that_earlier_code_accepted_is_run(make_service, web):
    """Its work has one URL and no checksum."""
    web.pages['/a'] = BODY
    service = make_service()
    task = posted(service, f'{web.url}/a')

    def rewrite(connection):
        text = connection.scalar(sa.select(task_queue.c.work))
        work = json.loads(text)
        del work['import_checksum']
        work['import_from'] = f'{web.url}/a'
        values = {'work': json.dumps(work), 'flow_version': 1}
        connection.execute(sa.update(task_queue).values(values))

    service.application.database.write(rewrite)
    assert content(service.start(), service.ended(task['id'])) == BODY
