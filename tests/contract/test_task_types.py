"""Do the task types of the service keep the promises of TaskType?"""

import pytest
from oslo_config import cfg

from glance import bootstrap, native_threads
from glance.domain.import_filter import ImportFilter
from glance.flows.import_image import ImportImage
from glance.testing.contracts.task_type import TaskTypeContract
from glance.testing.fakes.resolver import FakeResolver
from glance.testing.source_server import SourceServer


@pytest.fixture(scope='class')
def source(request):
    with SourceServer() as request.cls.source:
        request.cls.source.pages['/image'] = b'1234567890'
        yield


@pytest.mark.usefixtures('source')
class TestImportImage(TaskTypeContract):
    def make_task_type(self):
        return ImportImage()

    def make_input(self):
        return {
            'import_from': f'{self.source.url}/image',
            'import_from_format': 'raw',
            'image_properties': {'name': 'ten'},
        }

    def make_conf(self):
        conf = cfg.ConfigOpts()
        bootstrap.register_opts(conf)
        conf([], default_config_files=[])
        return conf

    def make_tools(self):
        return {
            'import_filter': ImportFilter(
                allowed_hosts=('127.0.0.1',), allowed_ports=(self.source.port,)
            ),
            'resolver': FakeResolver(default=['127.0.0.1']),
            'byte_threads': native_threads.NativePool(4, 'bytes'),
        }

    def test_the_image_is_active_and_whole(self):
        values = self.run()
        image = self.images.get(values['image_id'])
        assert (image.status, image.size, image.name) == ('active', 10, 'ten')
        assert self.store.data == {values['location']: b'1234567890'}
