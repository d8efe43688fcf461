"""An import from the POST to the bytes in the store, with every executor."""

import hashlib

import pytest

from glance.testing import images
from glance.testing.source_server import Answer


def test_an_import_ends_with_the_bytes_in_the_store(service, web):
    web.pages['/cirros'] = b'bits' * 1000
    accepted = service.import_(f'{web.url}/cirros', name='cirros', os_distro='cirros')
    assert accepted.status_int == 201
    assert accepted.json['status'] == 'pending'

    task = service.ended(accepted.json['id'])

    assert task['status'] == 'success'
    assert task['message'] == ''
    image_id = task['result']['image_id']
    image = service.call('GET', f'/v2/images/{image_id}').json
    assert image['status'] == 'active'
    assert image['size'] == image['virtual_size'] == 4000
    assert image['checksum'] == hashlib.md5(b'bits' * 1000).hexdigest()
    assert image['os_hash_algo'] == 'sha512'
    assert image['os_hash_value'] == hashlib.sha512(b'bits' * 1000).hexdigest()
    assert (image['name'], image['os_distro']) == ('cirros', 'cirros')
    assert (image['disk_format'], image['container_format']) == ('raw', 'bare')
    assert service.call('GET', f'/v2/images/{image_id}/file').body == b'bits' * 1000
    assert service.files() == [f'images/{image_id}.1']


def test_a_qcow2_keeps_its_virtual_size(service, web):
    content = images.qcow2(virtual_size=2**30)
    web.pages['/disk'] = content
    task = service.ended(service.import_(f'{web.url}/disk', 'qcow2').json['id'])
    image = service.call('GET', f'/v2/images/{task["result"]["image_id"]}').json
    assert (image['size'], image['virtual_size']) == (len(content), 2**30)
    assert image['disk_format'] == 'qcow2'


@pytest.mark.once
@pytest.mark.parametrize(
    ('encoding', 'disk_format', 'content', 'status'),
    [
        ('aws-chunked', 'qcow2', images.qcow2(), 'success'),
        ('none', 'raw', b'bits', 'success'),
        ('gzip', 'qcow2', images.qcow2(), 'success'),
        ('gzip', 'iso', images.iso(), 'success'),
        ('gzip', 'qcow2', b'\x1f\x8b\x08' + bytes(2000), 'failure'),
        ('br', 'qcow2', images.iso(), 'failure'),
        ('gzip', 'raw', images.qcow2(), 'failure'),
        ('zstd', 'raw', b'bits', 'failure'),
    ],
)
def test_a_file_is_plain_if_it_says_so_itself(
    make_service, web, encoding, disk_format, content, status
):
    """Content that is recognized as disk_format is plain, whatever Content-Encoding says."""
    service = make_service(image_format={'require_image_format_match': False}).start()
    web.pages['/a'] = Answer(content, headers=[('Content-Encoding', encoding)])
    task = service.ended(service.import_(f'{web.url}/a', disk_format).json['id'])
    assert task['status'] == status, task['message']
    if status == 'failure':
        assert 'with an encoded file, though the plain one was asked for' in task['message']
        assert service.files() == []


def test_a_body_of_several_chunks_arrives_whole(service, web):
    content = bytes(range(256)) * 4096 * 5 + b'end'  # more than the first MiB
    web.pages['/large'] = content
    task = service.ended(service.import_(f'{web.url}/large').json['id'])
    image_id = task['result']['image_id']
    image = service.call('GET', f'/v2/images/{image_id}').json
    assert image['os_hash_value'] == hashlib.sha512(content).hexdigest()
    assert service.call('GET', f'/v2/images/{image_id}/file').body == content


def test_the_id_of_the_image_can_be_chosen(service, web):
    web.pages['/a'] = b'a'
    wanted = '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0'
    task = service.ended(service.import_(f'{web.url}/a', id=wanted).json['id'])
    assert task['result'] == {'image_id': wanted}


def test_the_tasks_of_an_image_are_listed_with_it(service, web):
    web.pages['/a'] = b'a'
    task = service.ended(service.import_(f'{web.url}/a').json['id'])
    listed = service.call('GET', f'/v2/images/{task["image_id"]}/tasks').json['tasks']
    assert [row['id'] for row in listed] == [task['id']]


def test_many_imports_at_once_all_succeed(service, web):
    for number in range(50):
        web.pages[f'/{number}'] = b'%d' % number
    tasks = [service.import_(f'{web.url}/{number}').json['id'] for number in range(50)]
    for number, task_id in enumerate(tasks):
        task = service.ended(task_id)
        assert task['status'] == 'success', task['message']
        url = f'/v2/images/{task["result"]["image_id"]}/file'
        assert service.call('GET', url).body == b'%d' % number


def test_a_deleted_image_leaves_nothing(service, web):
    web.pages['/a'] = b'a'
    task = service.ended(service.import_(f'{web.url}/a').json['id'])
    image_id = task['result']['image_id']
    assert service.call('DELETE', f'/v2/images/{image_id}').status_int == 204
    assert service.call('GET', f'/v2/images/{image_id}').status_int == 404
    assert service.files() == []


def test_an_image_deleted_during_its_import_fails_the_task(service, web):
    wanted = '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0'

    def body(request):
        assert service.call('DELETE', f'/v2/images/{wanted}').status_int == 204
        return b'late'

    web.pages['/a'] = body
    task = service.ended(service.import_(f'{web.url}/a', id=wanted).json['id'])
    assert task['status'] == 'failure'
    assert task['message'] == f'Image {wanted} was deleted while it was being imported.'
    assert service.files() == []


def test_a_cancelled_import_leaves_nothing(service, web):
    posted = []

    def body(request):
        from tests.integration.conftest import ADMIN

        service.application.services.tasks.cancel(posted[0], by=ADMIN)
        return b'late'

    web.pages['/a'] = body
    posted.append(service.import_(f'{web.url}/a').json['id'])
    task = service.ended(posted[0])
    assert task['status'] == 'failure'
    assert task['message'] == 'The task was cancelled on request.'
    assert service.files() == []
    assert service.call('GET', '/v2/images').json['images'] == []


@pytest.mark.parametrize('second', ['eventlet', 'taskflow-parallel'])
def test_what_one_executor_left_pending_another_runs(make_service, web, second):
    web.pages['/a'] = b'a'
    first = make_service('taskflow-serial')  # never started: its tasks wait
    posted = first.import_(f'{web.url}/a').json['id']
    first.stop()
    task = make_service(second).start().ended(posted)
    assert task['status'] == 'success'
