"""The application over services that are lists, small enough to be seen through."""

import contextlib
import datetime
import io
import types

import pytest
import webob
from oslo_config import cfg

from glance import conf as options
from glance.api import app
from glance.api.policies import enforcer
from glance.domain import errors
from glance.domain.image import Image, Status
from glance.domain.task import Task

AT = datetime.datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=datetime.UTC)
TASK = '11111111-1111-4111-8111-111111111111'
IMAGE = '22222222-2222-4222-8222-222222222222'


class AnyInput:
    """A task type that accepts each input."""

    flow = types.SimpleNamespace(type='import')
    input_schema = {'type': 'object'}


class Tasks:
    """Keeps tasks, and what it was asked."""

    types = ('import',)
    known_types = ('import', 'api_image_import', 'location_import')
    lacking = ()

    def lacks(self):
        return list(self.lacking)

    def type(self, name):
        if name not in self.types:
            raise errors.Invalid(f'"type" must be one of import, not {name[:80]}.')
        return self.any_input

    def __init__(self):
        self.any_input = AnyInput()
        self.kept = {}
        self.listings = []
        self.waits = []
        self.cancels = []
        self.told, self.asked = [], []
        self.error = None

    def add(self, **fields):
        fields = {'id': TASK, 'type': 'import', 'owner': 'default', 'input': {}} | fields
        task = Task(created_at=AT, updated_at=AT, **fields)
        self.kept[task.id] = task
        return task

    def create_once(self, type_, given, *, by, key):
        if self.error:
            raise self.error
        task = self.add(
            type=type_,
            input=given,
            owner=by.project_id,
            request_id=by.request_id,
            user_id=by.user_id,
        )
        return task, True

    def wait(self, task_id, seconds, *, by, is_gone):
        self.waits.append((seconds, is_gone()))
        return self.get(task_id, by=by), seconds / 3

    def get(self, task_id, *, by):
        if self.error:
            raise self.error
        if task_id not in self.kept:
            raise errors.TaskNotFound(task_id)
        return self.kept[task_id]

    def cancel(self, task_id, *, by, reason=None):
        self.cancels.append((task_id, by.user_id, reason))
        return self.get(task_id, by=by)

    def events(self, task_id, *, by, limit, after=0):
        self.get(task_id, by=by)
        self.asked.append((limit, after, by.project_id))
        return self.told[:limit]

    def list(self, listing, *, by):
        self.listings.append(listing)
        return list(self.kept.values())[: listing.limit]

    def of_image(self, image_id, *, by):
        return [task for task in self.kept.values() if task.image_id == image_id]


class Images:
    """Keeps images and their bytes, and what it was asked."""

    def __init__(self):
        self.kept = {}
        self.data = {}
        self.opened = []
        self.listings = []
        self.error = None

    def add(self, data=None, **fields):
        fields = {'id': IMAGE, 'owner': 'default'} | fields
        if data is not None:
            fields = {'status': Status.ACTIVE, 'size': len(data)} | fields
            self.data[fields['id']] = data
        image = Image(created_at=AT, updated_at=AT, **fields)
        self.kept[image.id] = image
        return image

    def get(self, image_id, *, by):
        if image_id not in self.kept:
            raise errors.ImageNotFound(image_id)
        return self.kept[image_id]

    def list(self, listing, *, by):
        self.listings.append(listing)
        return list(self.kept.values())[: listing.limit]

    def delete(self, image_id, *, by):
        if self.error:
            raise self.error
        del self.kept[image_id]

    def open(self, image_id, *, by):
        if self.error:
            raise self.error
        image = self.kept[image_id]
        if image_id not in self.data:
            return image, None
        self.opened.append(io.BytesIO(self.data[image_id]))
        return image, contextlib.closing(self.opened[-1])


@pytest.fixture
def services():
    return types.SimpleNamespace(tasks=Tasks(), images=Images())


@pytest.fixture
def make_app(services, tmp_path):
    """make_app(policy='a: b', option=value, group__option=value)"""

    def make(policy=None, policy_interval=enforcer.SECONDS_BETWEEN_LOOKS, **overrides):
        conf = cfg.ConfigOpts()
        options.register_opts(conf)
        app.register_opts(conf)
        conf([], default_config_files=[], default_config_dirs=[])
        if policy is not None:
            (tmp_path / 'policy.yaml').write_text(policy)
            overrides['oslo_policy__policy_file'] = str(tmp_path / 'policy.yaml')
        for name, value in overrides.items():
            group, _, option = name.rpartition('__')
            conf.set_override(option, value, group=group or None)
        return app.build(conf, services, policy_interval=policy_interval)

    return make


@pytest.fixture
def api(make_app):
    return make_app()


@pytest.fixture
def call(api):
    """call('GET', '/v2/tasks', headers={...}, json={...}); app=... for another application."""

    def ask(method, url, *, app=api, environ=None, **parts):
        if 'json' in parts:
            parts['headers'] = {'Content-Type': 'application/json'} | parts.get('headers', {})
        request = webob.Request.blank(url, method=method, **parts)
        request.environ.update(environ or {})
        return request.get_response(app)

    return ask
