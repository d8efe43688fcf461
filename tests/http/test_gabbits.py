"""The stories in gabbits/*.yaml, told to the whole application by each executor."""

import pathlib
import unittest

import pytest
import yaml
from gabbi import handlers, suitemaker
from gabbi.handlers import base
from oslo_config import cfg

from glance import bootstrap
from glance.testing.source_server import SourceServer
from tests import databases

STORIES = sorted((pathlib.Path(__file__).parent / 'gabbits').glob('*.yaml'))
EXECUTORS = {
    'eventlet': ('eventlet', 'parallel'),
    'taskflow-serial': ('taskflow', 'serial'),
    'taskflow-parallel': ('taskflow', 'parallel'),
}
GRACE = 5


class BytesHandler(base.ResponseHandler):
    """response_bytes: what the body is, as a whole, where it is not text to gabbi."""

    test_key_suffix = 'bytes'

    def action(self, test, item, value=None):
        assert test.output == item.encode()


@pytest.fixture
def source(monkeypatch):
    """Where the stories import from; they know it as $ENVIRON['SOURCE']."""
    with SourceServer() as server:
        server.pages['/image'] = b'0123456789'
        server.pages['/larger'] = b'0123456789' * 10
        monkeypatch.setenv('SOURCE', server.url)
        yield server


@pytest.fixture
def database(tmp_path, missing):
    """The URL of a database with its tables."""
    with databases.with_tables(databases.CHOSEN, tmp_path, missing) as url:
        yield url


@pytest.fixture(params=EXECUTORS)
def application(request, tmp_path, source, database):
    executor, mode = EXECUTORS[request.param]
    conf = cfg.ConfigOpts()
    bootstrap.register_opts(conf)
    conf([], default_config_files=[], default_config_dirs=[])
    conf.set_override('state_path', str(tmp_path / 'state'))
    conf.set_override('connection', database, 'database')
    conf.set_override('task_executor', executor, 'task')
    conf.set_override('engine_mode', mode, 'taskflow_executor')
    conf.set_override('allowed_hosts', [source.host], 'import_filtering_opts')
    conf.set_override('allowed_ports', [source.port], 'import_filtering_opts')
    application = bootstrap.build(conf)
    application.start()
    yield application
    application.stop(GRACE)


@pytest.mark.parametrize('path', STORIES, ids=lambda path: path.stem)
def test_a_story_goes_as_it_is_told(path, application):
    story = suitemaker.test_suite_from_dict(
        unittest.TestLoader(),
        path.stem,
        yaml.safe_load(path.read_text()),
        str(path.parent),
        'localhost',
        9292,
        None,
        lambda: application.api,
        handlers=[each() for each in (*handlers.RESPONSE_HANDLERS, BytesHandler)],
    )
    result = unittest.TestResult()
    story.run(result)
    wrong = [
        f'{test.shortDescription()}\n{text}' for test, text in result.failures + result.errors
    ]
    assert not wrong, '\n'.join(wrong)
    assert result.testsRun
