"""The whole application in one process, on a state folder of the test's own."""

import contextlib
import json
import time

import pytest
import webob
from oslo_config import cfg

from glance import bootstrap
from glance.domain.caller import Caller
from glance.testing.source_server import SourceServer
from tests import databases, folders

ADMIN = Caller('default', is_admin=True)

EXECUTORS = {
    'eventlet': ('eventlet', 'parallel'),
    'taskflow-serial': ('taskflow', 'serial'),
    'taskflow-parallel': ('taskflow', 'parallel'),
}


@pytest.fixture
def web():
    with SourceServer() as server:
        yield server


class Service:
    """An application and the few calls that stories make on it."""

    def __init__(self, conf, state, **replacements):
        self.conf = conf
        self.state = state
        self.application = bootstrap.build(conf, **replacements)
        self._stopped = False

    def start(self):
        self.application.start()
        return self

    def stop(self, grace=5):
        if not self._stopped:
            self._stopped = True
            self.application.stop(grace)

    def call(self, method, url, **parts):
        parts.setdefault('headers', {'Accept': 'application/json'})
        request = webob.Request.blank(f'http://127.0.0.1{url}', method=method, **parts)
        return request.get_response(self.application.api)

    def post(self, body):
        return self.call(
            'POST',
            '/v2/tasks',
            body=json.dumps(body).encode(),
            headers={'Content-Type': 'application/json', 'Accept': 'application/json'},
        )

    def import_(self, source, format_='raw', **properties):
        """Post an import; returns the answer."""
        return self.post(
            {
                'type': 'import',
                'input': {
                    'import_from': source,
                    'import_from_format': format_,
                    'image_properties': properties,
                },
            }
        )

    def ended(self, task_id):
        until = time.monotonic() + 90
        while not (task := self.application.services.tasks.get(task_id, by=ADMIN)).ended:
            assert time.monotonic() < until, f'Task {task_id} is still {task.status}.'
            time.sleep(0.01)
        # The entry and the staging folder go right after the task has ended.
        while task_id in self._entries():
            pass
        return self.call('GET', f'/v2/tasks/{task_id}').json

    def _entries(self):
        from glance.db.models import task_queue

        time.sleep(0.005)
        return set(
            self.application.database.read(
                lambda connection: connection.scalars(
                    task_queue.select().with_only_columns(task_queue.c.task_id)
                ).all()
            )
        )

    def files(self):
        """All files and folders of the state folder that a run could leave behind."""
        return sorted(
            str(path.relative_to(self.state))
            for folder in ('images', 'staging')
            for path in folders.below(self.state / folder)
            if path != self.state / folder / '.deployment'
        )


@pytest.fixture
def database(tmp_path, missing):
    """database(kind): the URL of a database of the test's own, its tables there."""
    with contextlib.ExitStack() as stack:

        def make(kind):
            return stack.enter_context(databases.with_tables(kind, tmp_path, missing))

        yield make


@pytest.fixture
def make_service(tmp_path, web, database):
    """make_service(executor='taskflow-parallel', **options): a Service, not started.

    replacements  parts of the application by name: see bootstrap.Replacements
    stores        the folders of the file stores in enabled_backends, by name
    """
    made = []
    urls = {}

    def make(
        executor='taskflow-parallel',
        *,
        state=tmp_path / 'state',
        replacements=None,
        stores=None,
        **options,
    ):
        if databases.CHOSEN != 'sqlite':  # which has its file in the state folder by itself
            if state not in urls:  # one deployment, however many processes
                urls[state] = database(databases.CHOSEN)
            options.setdefault('database', {'connection': urls[state]})
        name, mode = EXECUTORS[executor]
        conf = cfg.ConfigOpts()
        bootstrap.register_opts(conf)
        conf([], default_config_files=[])
        overrides = {
            'DEFAULT': {'state_path': str(state)},
            'task': {'task_executor': name, 'poll_interval': 0.05},
            'taskflow_executor': {'engine_mode': mode},
            'import_filtering_opts': {
                'allowed_hosts': ['127.0.0.1'],
                'allowed_ports': [web.port, 1],
                'read_timeout': 5,
                'retry_timeout': 0,  # tests of retries say how long they try
            },
        }
        for group, values in options.items():
            overrides.setdefault(group, {}).update(values)
        for group, values in overrides.items():
            for option, value in values.items():
                conf.set_override(option, value, None if group == 'DEFAULT' else group)
        if stores:
            bootstrap.register_plugin_opts(conf, executor=False)
            for store, folder in stores.items():
                conf.set_override('filesystem_store_datadir', folder, store)
        service = Service(conf, state, **(replacements or {}))
        made.append(service)
        return service

    yield make
    for service in made:
        service.stop()


@pytest.fixture(params=list(EXECUTORS))
def service(request, make_service):
    """A running service, once with each executor and mode."""
    return make_service(request.param).start()
