"""What cannot be removed: the task ends all the same, and a row says what is left."""

import pathlib
import socket
import subprocess
import threading
import time

import pytest
import sqlalchemy as sa

from glance import toolbox
from glance.db.models import image_locations, images, leftovers
from glance.domain.suspects import MAX_DEATHS
from glance.flows import import_image, step_calls
from glance.stores.filesystem import FilesystemStore
from glance.testing.observed_queue import PATIENCE
from glance.testing.source_server import Answer

from .conftest import EXECUTORS

DEAD = 'elsewhere/a-folder/a-boot/1-a-process'


@pytest.fixture
def keep(missing):
    """keep(path): nobody can remove this file, or what is in this folder, during the test."""
    kept = []

    def make(path):
        if subprocess.run(['chattr', '+i', str(path)], capture_output=True).returncode:
            missing('No file can be made immutable here (needs root).')
        kept.append(path)

    yield make
    for path in kept:
        release(path)


def release(path):
    """What keep() kept can be removed again."""
    subprocess.run(['chattr', '-i', str(path)], check=True)


def rows(service, table):
    return service.application.database.read(
        lambda connection: connection.execute(sa.select(table)).all()
    )


def left(service):
    return [
        (row.kind, row.store, row.address)
        for row in sorted(rows(service, leftovers), key=lambda row: row.id)
    ]


def awaited(true):
    until = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < until
        time.sleep(0.01)
    return found


class Source:
    """A source that waits in the midst of its file."""

    def __init__(self, web, *, announced):
        self._go_on = threading.Event()
        web.pages['/a'] = Answer(self._pieces(), announced=announced)

    def _pieces(self):
        yield b'12345'
        self._go_on.wait(PATIENCE)
        yield b'67890'

    def go_on(self):
        self._go_on.set()


def imported(service, web, keep, *, announced):
    """An import whose staging folder cannot be removed; returns task and folder."""
    source = Source(web, announced=announced)
    task_id = service.import_(f'{web.url}/a').json['id']
    folder = service.state / 'staging' / task_id / '1'
    awaited((folder / 'image').exists)
    keep(folder)
    source.go_on()
    return service.ended(task_id), folder


@pytest.mark.parametrize('executor', EXECUTORS)
def test_a_failed_import_ends_though_its_staging_stays(make_service, web, keep, executor):
    service = make_service(executor).start()
    task, folder = imported(service, web, keep, announced=11)
    assert (task['status'], task['message']) == (
        'failure',
        'The source announced 11 bytes but sent 10.',
    )
    assert left(service) == [('staging', None, str(folder)), ('staging', None, str(folder.parent))]
    assert rows(service, images) == []


@pytest.mark.parametrize('executor', EXECUTORS)
def test_a_successful_import_ends_though_its_staging_stays(make_service, web, keep, executor):
    service = make_service(executor).start()
    task, folder = imported(service, web, keep, announced=10)
    assert task['status'] == 'success'
    assert left(service) == [('staging', None, str(folder.parent))]
    [row] = rows(service, leftovers)
    assert row.task_id == task['id']
    assert row.owner.split('/')[0] == socket.gethostname()
    image = task['result']['image_id']
    assert service.call('GET', f'/v2/images/{image}/file').body == b'1234567890'


def imported_image(service, web):
    web.pages['/a'] = b'1234567890'
    task = service.ended(service.import_(f'{web.url}/a').json['id'])
    return task['result']['image_id']


VERSIONS = {'import': import_image.ImportImage.flow.version}


class Stored:
    """An import whose claim died after its bytes were stored, and was its last but so many."""

    def __init__(self, service, web, *, deaths):
        web.pages['/a'] = b'1234567890'
        self.task_id = service.import_(f'{web.url}/a').json['id']
        tools = toolbox.current()
        [claim] = tools.queue.claim(DEAD, 1, seconds=30, versions=VERSIONS)
        tools.runs.begin(claim)
        values = claim.work | {'lease': claim.lease, 'predecessor': None}
        for step in import_image.STEPS[:-1]:  # all but the commit
            given = step_calls.do(step, values)
            if step.provides:
                values[step.provides] = given
        tools.runs.end(claim.lease)
        self.url = values['location']
        for _ in range(deaths - 1):
            tools.queue.expire([DEAD])
            assert tools.queue.claim(DEAD, 1, seconds=30, versions=VERSIONS)
        tools.queue.expire([DEAD])


@pytest.mark.parametrize('executor', EXECUTORS)
def test_bytes_that_stay_in_the_store_are_named_though_image_and_location_go(
    make_service, web, keep, executor
):
    service = make_service(executor)
    stored = Stored(service, web, deaths=MAX_DEATHS)
    keep(pathlib.Path(stored.url.removeprefix('file://')).parent)
    service.start()
    task = service.ended(stored.task_id)
    assert task['status'] == 'failure'
    assert f'Given up after {MAX_DEATHS} attempts' in task['message']
    assert left(service) == [('location', 'filesystem', stored.url)]
    assert rows(service, images) == rows(service, image_locations) == []
    release(pathlib.Path(stored.url.removeprefix('file://')).parent)
    service.application.runner.sweeper.look()
    assert awaited(lambda: left(service) == [])
    assert service.files() == []


@pytest.mark.parametrize('executor', EXECUTORS)
def test_a_deleted_image_leaves_its_bytes_until_the_store_can_remove_them(
    make_service, web, keep, executor
):
    service = make_service(executor).start()
    image_id = imported_image(service, web)
    keep(service.state / 'images')
    assert service.call('DELETE', f'/v2/images/{image_id}').status_int == 204
    assert service.call('GET', f'/v2/images/{image_id}').status_int == 404
    assert [row.status for row in rows(service, image_locations)] == ['pending_delete']
    release(service.state / 'images')
    service.application.runner.sweeper.look()
    assert awaited(lambda: rows(service, image_locations) == [])
    assert service.files() == []


def test_the_next_start_removes_the_bytes_that_a_killed_process_did_not(make_service, web):
    first = make_service().start()
    image_id = imported_image(first, web)
    first.application.services.images._repository.delete(image_id)  # and here it is killed
    first.stop()
    service = make_service().start()
    assert awaited(lambda: rows(service, image_locations) == [])
    assert service.files() == []


@pytest.mark.parametrize('mount_point', ['is empty', 'is gone', 'is of another deployment'])
@pytest.mark.parametrize('executor', EXECUTORS)
def test_a_store_that_is_not_mounted_any_more_is_neither_written_to_nor_forgotten(
    make_service, web, executor, mount_point
):
    service = make_service(executor).start()
    image_id = imported_image(service, web)
    images_folder, away = service.state / 'images', service.state / 'away'
    images_folder.rename(away)
    if mount_point != 'is gone':
        images_folder.mkdir()
    if mount_point == 'is of another deployment':
        (images_folder / '.deployment').write_text('another')
    task = service.ended(service.import_(f'{web.url}/a').json['id'])
    assert task['message'] == (
        'There is an error of the image store: its folder has lost its .deployment; '
        'its disk may not be mounted.'
    )
    assert service.call('GET', f'/v2/images/{image_id}/file').status_int == 503
    assert service.call('DELETE', f'/v2/images/{image_id}').status_int == 204
    assert [row.status for row in rows(service, image_locations)] == ['pending_delete']
    assert [kind for kind, *_ in left(service)] == [
        'location'
    ]  # an earlier claim may have written
    assert service.files() == []

    if mount_point != 'is gone':
        (images_folder / '.deployment').unlink(missing_ok=True)
        images_folder.rmdir()
    away.rename(images_folder)
    service.application.runner.sweeper.look()
    assert awaited(lambda: rows(service, image_locations) == left(service) == [])
    assert service.files() == []


@pytest.mark.green
@pytest.mark.parametrize('executor', EXECUTORS)
def test_a_store_that_never_answers_does_not_keep_a_task_for_ever(
    make_service, web, tmp_path, executor
):
    class NeverDeletes(FilesystemStore):
        def delete(self, url):
            threading.Event().wait()

    store = NeverDeletes(str(tmp_path / 'state' / 'images'))
    service = make_service(
        executor,
        replacements={'stores': {'filesystem': store}},
        task={'lease_time': 1, 'stall_timeout': 1},
    )
    stored = Stored(service, web, deaths=MAX_DEATHS)
    service.start()
    task = service.ended(stored.task_id)
    assert task['status'] == 'failure'
    assert left(service) == [('location', 'filesystem', stored.url)]
    assert rows(service, images) == rows(service, image_locations) == []


@pytest.mark.green
@pytest.mark.parametrize('executor', EXECUTORS)
def test_an_import_whose_store_hung_once_succeeds_at_its_next_claim(
    make_service, web, tmp_path, executor
):
    hangs = [threading.Event()]

    class HangsOnce(FilesystemStore):
        def add(self, *args, **options):
            if hangs:
                hangs.pop().wait()
            super().add(*args, **options)

    store = HangsOnce(str(tmp_path / 'state' / 'images'))
    service = make_service(
        executor,
        replacements={'stores': {'filesystem': store}},
        task={'lease_time': 1, 'stall_timeout': 3},
    )
    web.pages['/a'] = b'1234567890'
    task = service.start().ended(service.import_(f'{web.url}/a').json['id'])
    assert task['status'] == 'success'
    assert left(service) == []
    image = task['result']['image_id']
    assert [name for name in service.files() if image in name] == [f'images/{image}.2']
    assert service.call('GET', f'/v2/images/{image}/file').body == b'1234567890'
