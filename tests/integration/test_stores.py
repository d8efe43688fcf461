"""Several stores: where images go, and what becomes of those in a store that changed."""

import pytest


@pytest.fixture
def with_stores(make_service, tmp_path):
    """with_stores('fast', 'slow', default='slow'): a running service with these file stores."""
    running = []

    def make(*names, default):
        if running:
            running.pop().stop()
        service = make_service(
            DEFAULT={
                'state_path': str(tmp_path / 'state'),
                'enabled_backends': dict.fromkeys(names, 'file'),
            },
            glance_store={'default_backend': default},
            stores={name: str(tmp_path / name.removeprefix('new-')) for name in names},
        )
        running.append(service.start())
        return service

    return make


def imported(service, web):
    web.pages['/a'] = b'bits'
    task = service.ended(service.import_(f'{web.url}/a').json['id'])
    assert task['status'] == 'success', task
    return task['result']['image_id']


def stored(folder):
    return [path.name for path in folder.iterdir() if path.name != '.deployment']


def test_images_go_to_the_default_store_and_stay_where_they_are(with_stores, web, tmp_path):
    service = with_stores('fast', 'slow', default='slow')
    first = imported(service, web)
    assert stored(tmp_path / 'slow') == [f'{first}.1']
    assert stored(tmp_path / 'fast') == []

    service = with_stores('fast', 'slow', default='fast')
    second = imported(service, web)
    assert stored(tmp_path / 'fast') == [f'{second}.1']
    for image_id in (first, second):
        assert service.call('GET', f'/v2/images/{image_id}/file').body == b'bits'
        assert service.call('DELETE', f'/v2/images/{image_id}').status_int == 204
    assert stored(tmp_path / 'slow') == stored(tmp_path / 'fast') == []


def test_a_store_can_be_renamed(with_stores, web):
    image_id = imported(with_stores('slow', default='slow'), web)
    service = with_stores('new-slow', default='new-slow')
    assert service.call('GET', f'/v2/images/{image_id}/file').body == b'bits'
    assert service.call('DELETE', f'/v2/images/{image_id}').status_int == 204


def test_an_image_in_a_store_that_is_not_enabled_is_kept(with_stores, web, tmp_path):
    image_id = imported(with_stores('slow', default='slow'), web)
    service = with_stores('fast', default='fast')
    for method, url in (
        ('GET', f'/v2/images/{image_id}/file'),
        ('DELETE', f'/v2/images/{image_id}'),
    ):
        answer = service.call(method, url)
        assert (answer.status_int, answer.json['message']) == (
            503,
            'The store "slow" is not enabled.',
        )
    assert service.call('GET', f'/v2/images/{image_id}').json['status'] == 'active'
    service = with_stores('fast', 'slow', default='fast')
    assert service.call('GET', f'/v2/images/{image_id}/file').body == b'bits'
