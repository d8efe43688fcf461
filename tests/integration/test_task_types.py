"""Task types of a plug-in: planned, run and ended as the service promises, and kept in bounds."""

import dataclasses

import pytest

from glance import toolbox
from glance.domain import errors
from glance.domain.lease import Lease
from glance.flows.import_image import ImportImage
from glance.interfaces.flow import Flow, Step
from glance.interfaces.task_type import Plan, TaskType

from .conftest import EXECUTORS

IMAGE = '3f0ac3ad-6b9c-4f3e-9c0c-0a54f0b0f6a1'


def nothing(*_args):
    """Discard and clean up."""


class Look(Step):
    name = 'look'
    provides = 'seen'

    def do(self, work, colour='green'):
        return [work, colour]


class Tell(Step):
    name = 'tell'
    commits = True

    def do(self, lease, seen, missing=None):
        toolbox.current().queue.finish(lease, {'seen': seen, 'missing': missing})


STEPS = (Look(), Tell())


def endless():
    """A list that is nested deeper than JSON can be written."""
    made = []
    for _ in range(100_000):
        made = [made]
    return made


def broken():
    """Writes that cannot be counted up."""
    raise KeyError('it')
    yield


class Scan(TaskType):
    """A task type whose plan and steps a test chooses."""

    def __init__(self, plan=None, *, steps=STEPS, upgrade=None, version=1, posts=True):
        self.flow = Flow('scan', version, steps, discard=nothing, cleanup=nothing)
        if upgrade is not None:
            self.flow = dataclasses.replace(self.flow, upgrade=upgrade)
        self.postable = posts
        self._plan = plan or (lambda given, service: Plan({'work': given}))

    def plan(self, given, caller, service):
        return self._plan(given, service)


@pytest.fixture
def scanning(make_service):
    """scanning(scan, executor): a service with this task type and the import, not started."""

    def make(scan, executor='taskflow-parallel', **options):
        types = {'import': ImportImage(), 'scan': scan}
        return make_service(executor, replacements={'task_types': types}, **options)

    return make


def post(service, **given):
    return service.post({'type': 'scan', 'input': given})


@pytest.mark.parametrize('executor', EXECUTORS)
def test_a_task_of_another_type_ends_with_its_result(scanning, executor):
    service = scanning(Scan(), executor).start()
    task = service.ended(post(service, a=1).json['id'])
    assert (task['status'], task['type']) == ('success', 'scan')
    assert task['result'] == {'seen': [{'a': 1}, 'green'], 'missing': None}


@pytest.mark.parametrize('executor', EXECUTORS)
def test_a_value_of_the_work_comes_before_the_default(scanning, executor):
    plan = Plan({'work': 7, 'colour': 'red'})
    service = scanning(Scan(lambda given, service: plan), executor).start()
    task = service.ended(post(service).json['id'])
    assert task['result'] == {'seen': [7, 'red'], 'missing': None}


@pytest.mark.parametrize('executor', EXECUTORS)
def test_a_value_that_is_missing_fails_the_task_alike(scanning, caplog, executor):
    service = scanning(Scan(lambda given, service: Plan({})), executor).start()
    task = service.ended(post(service).json['id'])
    assert task['status'] == 'failure'
    assert task['message'] == (
        'Step "look" failed because of an internal error; the log of the service says more.'
    )
    assert 'Neither the work nor an earlier step has the value "work"' in caplog.text


@pytest.mark.parametrize('executor', EXECUTORS)
@pytest.mark.parametrize(
    ('work', 'undone'),
    [
        ({}, [None, 'green', 'all']),
        ({'colour': 'red', 'missing': None}, [None, 'red', 'all']),
        ({'missing': 3, 'more': ['x']}, [3, 'green', ['x']]),
    ],
)
def test_an_undo_gets_its_defaults_and_none_for_other_values(scanning, executor, work, undone):
    seen = []

    class Paint(Step):
        name = 'paint'
        provides = 'painted'

        def do(self, colour='green'):
            return colour

        def undo(self, missing, painted, more='all'):
            seen.append([missing, painted, more])

    class Fail(Step):
        name = 'fail'

        def do(self, painted):
            raise errors.TaskFailed(f'It is {painted}.')

    steps = (Paint(), Fail())
    service = scanning(Scan(lambda given, service: Plan(work), steps=steps), executor).start()
    task = service.ended(post(service).json['id'])
    assert (task['status'], task['message']) == ('failure', f'It is {undone[1]}.')
    assert seen == [undone]


@pytest.mark.parametrize(
    ('plan', 'line'),
    [
        (lambda given, service: 1 / 0, 'failed to plan a task'),
        (lambda given, service: exit(3), 'failed to plan a task'),
        (lambda given, service: None, 'made a plan that cannot be used'),
        (lambda given, service: Plan({'work': object()}), 'made a plan that cannot be used'),
        (lambda given, service: Plan({'work': float('nan')}), 'made a plan that cannot be used'),
        (lambda given, service: Plan(7), 'made a plan that cannot be used'),
        (lambda given, service: Plan({'lease': 1}), 'made a plan that cannot be used'),
        (lambda given, service: Plan({'seen': 1}), 'made a plan that cannot be used'),
        (lambda given, service: Plan({'work': endless()}), 'made a plan that cannot be used'),
        (lambda given, service: Plan({}, writes=broken()), 'made a plan that cannot be used'),
        (lambda given, service: Plan({}, 'no-uuid'), 'made a plan that cannot be used'),
        (lambda given, service: Plan({}, 7), 'made a plan that cannot be used'),
        (lambda given, service: Plan({}, writes=[7]), 'planned a write that a POST cannot make'),
        (lambda given, service: Plan({}, writes=7), 'made a plan that cannot be used'),
        (
            lambda given, service: Plan(
                {}, writes=[service.images.property_update(Lease('t', 1), IMAGE, {'a': 'b'})]
            ),
            'planned a write that a POST cannot make',
        ),
    ],
)
def test_a_bad_plan_is_no_fault_of_the_client(scanning, web, caplog, plan, line):
    web.pages['/a'] = b'bits'
    service = scanning(Scan(plan)).start()
    answer = post(service)
    assert answer.status_int == 500
    assert answer.json['message'].startswith('The task type "scan" of this service does not work')
    assert f'The task type "scan" {line}' in caplog.text
    assert service.call('GET', '/v2/tasks').json['tasks'] == []
    task = service.ended(service.import_(f'{web.url}/a').json['id'])
    assert task['status'] == 'success'


def test_a_type_that_users_may_not_post_is_refused_and_listed(scanning):
    service = scanning(Scan(posts=False))
    answer = post(service)
    assert answer.status_int == 400
    assert answer.json['message'] == '"type" must be one of import, not scan.'
    assert service.call('GET', '/v2/tasks?type=scan').status_int == 200
    assert service.call('GET', '/v2/schemas/tasks/scan').status_int == 404


def test_a_task_about_an_image_that_exists_sets_its_property(scanning, web):
    class Mark(Step):
        name = 'mark'
        commits = True

        def do(self, lease, image_id):
            tools = toolbox.current()
            write = tools.images.property_update(lease, image_id, {'mark': 'x'})
            tools.queue.finish(lease, {}, [write])

    def plan(given, service):
        return Plan({'image_id': given['id']}, service.images.get(given['id']).id)

    web.pages['/a'] = b'bits'
    service = scanning(Scan(plan, steps=(Mark(),))).start()
    image_id = service.ended(service.import_(f'{web.url}/a').json['id'])['result']['image_id']
    task = service.ended(post(service, id=image_id).json['id'])
    assert (task['status'], task['image_id']) == ('success', image_id)
    assert service.call('GET', f'/v2/images/{image_id}').json['mark'] == 'x'
    assert post(service, id=IMAGE).status_int == 404


@pytest.mark.parametrize('executor', EXECUTORS)
def test_a_write_of_another_task_fails_the_step_that_commits_it(scanning, caplog, executor):
    class Steal(Step):
        name = 'steal'
        commits = True

        def do(self, lease):
            tools = toolbox.current()
            other = Lease('another-task', 1)
            tools.queue.finish(lease, {}, [tools.images.property_update(other, IMAGE, {'a': 'b'})])

    service = scanning(Scan(steps=(Steal(),)), executor).start()
    task = service.ended(post(service).json['id'])
    assert task['status'] == 'failure'
    assert 'Step "steal" failed because of an internal error;' in task['message']
    assert 'another-task' not in task['message']
    assert 'another-task' in caplog.text
    assert __name__ in caplog.text  # whose step it was


@pytest.mark.parametrize('executor', EXECUTORS)
def test_the_work_of_an_older_version_is_brought_up_to_date(scanning, executor):
    old = scanning(Scan(), executor, task={'conduct': False})
    task_id = post(old, a=1).json['id']
    old.stop()

    def upgrade(work, version):
        return {'work': [work['work'], version], 'colour': 'blue'}

    new = scanning(Scan(version=2, upgrade=upgrade), executor).start()
    task = new.ended(task_id)
    assert task['result'] == {'seen': [[{'a': 1}, 1], 'blue'], 'missing': None}


@pytest.mark.parametrize('executor', EXECUTORS)
@pytest.mark.parametrize(
    'upgrade',
    [
        lambda work, version: 1 / 0,
        lambda work, version: exit(3),
        lambda work, version: object(),
        lambda work, version: {'seen': 1},
    ],
)
def test_a_task_that_cannot_be_brought_up_to_date_fails(scanning, caplog, executor, upgrade):
    old = scanning(Scan(), executor, task={'conduct': False})
    task_id = post(old).json['id']
    old.stop()
    new = scanning(Scan(version=2, upgrade=upgrade), executor).start()
    task = new.ended(task_id)
    assert task['status'] == 'failure'
    assert 'posted with version 1 of the task type "scan", and version 2' in task['message']
    assert 'the task type "scan" cannot bring its work of version 1 up to date' in caplog.text
