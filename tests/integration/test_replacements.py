"""Parts of the application that a caller provides in place of the usual ones."""

import pytest

from glance.testing.fakes.store import FakeStore


class OneAddress:
    """A resolver that gives the same address for every name."""

    def __init__(self, address):
        self._address = address

    def addresses(self, host, port):
        return [self._address]


def test_an_import_uses_the_parts_that_were_provided(make_service, web):
    web.pages['/a'] = b'bits'
    store = FakeStore()
    service = make_service(
        replacements={'resolver': OneAddress('127.0.0.1'), 'stores': {'filesystem': store}},
        import_filtering_opts={'allowed_hosts': ['source.example']},
    ).start()
    task = service.ended(service.import_(f'http://source.example:{web.port}/a').json['id'])
    assert task['status'] == 'success'
    image = service.call('GET', f'/v2/images/{task["result"]["image_id"]}/file')
    assert image.body == b'bits'
    assert service.files() == []


def test_a_part_that_is_not_known_is_refused_before_a_folder_is_made(make_service, tmp_path):
    with pytest.raises(TypeError, match='shop'):
        make_service(state=tmp_path / 'other', replacements={'shop': object()})
    assert not (tmp_path / 'other').exists()
