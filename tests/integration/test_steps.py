"""Each step can run twice, each can be undone, and what a task owns is found without it."""

import dataclasses
import datetime
import importlib
import os

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from glance import toolbox
from glance.db import renewal
from glance.domain import errors
from glance.domain.entry import Entry, Outcome
from glance.domain.lease import LostLease
from glance.domain.task import Task
from glance.engine.taskflow_engine import EngineRunner
from glance.flows import import_image, step_calls, steps
from glance.image_data import files
from glance.interfaces.executor import RunResult
from glance.interfaces.flow import Flow, Step
from glance.interfaces.store import Stores
from glance.testing.fakes.store import FakeStore

IMAGE = '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0'
TASK = '11111111-2222-3333-4444-555555555555'


STEP = {type(step): step for step in import_image.STEPS}


def steps_before(kind):
    """The steps of an import that come before the one of this class."""
    return import_image.STEPS[: import_image.STEPS.index(STEP[kind])]


class Begun:
    """A claimed import of /a whose steps the test does by itself."""

    def __init__(self, service, claim):
        self.service = service
        self.claim = claim
        self.lease = claim.lease
        self.values = claim.work | {'lease': claim.lease, 'predecessor': None}

    def do(self, *wanted):
        for step in wanted:
            given = step_calls.do(step, self.values)
            if step.provides:
                self.values[step.provides] = given

    def left(self):
        images = self.service.call('GET', '/v2/images').json['images']
        return self.service.files(), [image['status'] for image in images]


@pytest.fixture
def begun(make_service, web):
    service = make_service()
    web.pages['/a'] = b'bits'
    work = {
        'image_id': IMAGE,
        'import_from': [f'{web.url}/a'],
        'owner': 'us',
        'store': 'filesystem',
        'properties': {
            'name': 'a',
            'disk_format': 'raw',
            'container_format': 'bare',
            'properties': {'os': 'x'},
            'tags': ['t'],
        },
    }
    at = datetime.datetime.now(datetime.UTC)
    service.application.services.tasks._repository.add(
        Task(TASK, 'import', 'us', {}, at, at, image_id=IMAGE), Entry(TASK, 'import', 1, work)
    )
    [claim] = toolbox.current().queue.claim('us', 1, seconds=30, versions={'import': 1})
    toolbox.current().runs.begin(claim)
    yield Begun(service, claim)
    toolbox.current().runs.end(claim.lease)


@pytest.mark.parametrize('number', range(len(import_image.STEPS)))
def test_a_step_can_be_done_twice(begun, number):
    begun.do(*import_image.STEPS[:number])
    begun.do(import_image.STEPS[number], import_image.STEPS[number])
    begun.do(*import_image.STEPS[number + 1 :])
    files, statuses = begun.left()
    assert statuses == ['active']
    assert f'images/{IMAGE}.1' in files
    assert toolbox.current().queue.outcome(begun.lease)[0] == Outcome.SUCCESS


@pytest.mark.parametrize('number', range(len(import_image.STEPS)))
@pytest.mark.parametrize('times', [1, 2])
def test_what_was_done_can_be_undone_also_twice(begun, number, times):
    begun.do(*import_image.STEPS[:number])
    for _ in range(times):
        for step in reversed(import_image.STEPS[:number]):
            step_calls.undo(step, begun.values)
    files, statuses = begun.left()
    assert statuses == []
    assert [name for name in files if name.startswith('images/')] == []


@pytest.mark.parametrize('number', range(len(import_image.STEPS)))
def test_what_a_task_owns_is_discarded_wherever_it_stopped(begun, number):
    begun.do(*import_image.STEPS[:number])
    for _ in range(2):
        import_image.discard(begun.lease, begun.claim.work)
    assert begun.left() == ([], [])


def test_a_committed_image_is_neither_undone_nor_discarded(begun):
    begun.do(*import_image.STEPS)
    for step in reversed(import_image.STEPS):
        step_calls.undo(step, begun.values)
    import_image.discard(begun.lease, begun.claim.work)
    files, statuses = begun.left()
    assert (files, statuses) == ([f'images/{IMAGE}.1'], ['active'])


def test_a_run_that_lost_its_lease_changes_nothing_any_more(begun):
    begun.do(*steps_before(steps.Finish))
    before = begun.left()
    queue = toolbox.current().queue
    queue.expire(['us'])
    assert queue.claim('them', 1, seconds=30, versions={'import': 1})
    with pytest.raises(LostLease):
        begun.do(STEP[steps.Finish])
    for kind in (steps.Store, steps.CreateRecord):
        with pytest.raises(LostLease):
            step_calls.undo(STEP[kind], begun.values)
    assert begun.left() == before


def test_an_image_of_another_task_is_not_adopted(begun, web):
    tools = toolbox.current()
    begun.do(STEP[steps.CreateRecord])
    begun.service.application.database.write(
        lambda connection: connection.exec_driver_sql(
            "UPDATE images SET created_by_task = 'another'"
        )
    )
    with pytest.raises(errors.ImageExists):
        tools.images.create(begun.lease, tools.images.get(IMAGE))
    import_image.discard(begun.lease, begun.claim.work)
    assert tools.images.get(IMAGE).name == 'a'


class Breaks(Step):
    name = 'breaks'

    def do(self):
        raise errors.SizeMismatch(1, 2)


def step_by_step(flow, claim):
    walk = importlib.import_module('glance.async.eventlet_executor').walk
    return walk(flow.all_steps(), claim.work | {'lease': claim.lease, 'predecessor': None})


def on_an_engine(flow, claim):
    return EngineRunner(toolbox.current().runs).run_flow(flow, claim)


@pytest.mark.parametrize('run', [step_by_step, on_an_engine])
@pytest.mark.parametrize('number', range(len(import_image.STEPS)))
def test_all_is_undone_when_a_later_step_breaks(begun, run, number):
    flow = Flow('broken', 1, (*import_image.STEPS[:number], Breaks()), None, None)
    assert run(flow, begun.claim) == RunResult.REVERTED
    files, statuses = begun.left()
    assert statuses == []
    assert [name for name in files if name.startswith('images/')] == []
    assert toolbox.current().queue.outcome(begun.lease) == (
        Outcome.FAILURE,
        'The source announced 1 bytes but sent 2.',
    )


MOST_COMMITS = 10
MOST_CHANGES = 36  # INSERT, UPDATE and DELETE; 11 of them are the logbook's, 7 events


def test_a_whole_import_takes_few_commits_and_statements(make_service, web, monkeypatch):
    """From POST to tidy-up: post, claim, four remembered steps of which two write besides,
    commit, tidy-up. Renewals follow the clock, so they are not counted."""
    service = make_service('taskflow-serial')
    web.pages['/a'] = b'bits'
    commits = []
    database = service.application.database
    plain = database.write
    statements = []

    def count(function, **how):
        if function.__module__ != renewal.__name__:
            commits.append(function)
            return plain(function, **how)

        def uncounted(connection):
            before = len(statements)
            returned = function(connection)
            del statements[before:]
            return returned

        return plain(uncounted, **how)

    monkeypatch.setattr(database, 'write', count)

    def note(_connection, _cursor, statement, *_others):
        statements.append(statement.split()[0])

    event.listen(sa.Engine, 'before_cursor_execute', note)
    try:
        accepted = service.import_(f'{web.url}/a')
        service.start()
        assert service.ended(accepted.json['id'])['status'] == 'success'
    finally:
        event.remove(sa.Engine, 'before_cursor_execute', note)
    changes = sum(first in ('INSERT', 'UPDATE', 'DELETE') for first in statements)
    names = [function.__qualname__ for function in commits]
    # A look at an empty queue writes nothing: of the claims only the first is a commit.
    idle = sum(name.endswith('claim.<locals>.take') for name in names) - 1
    assert len(names) - idle <= MOST_COMMITS, names
    assert MOST_CHANGES - 5 <= changes <= MOST_CHANGES


@pytest.mark.parametrize('size', [0, 3, 5, None])
@pytest.mark.parametrize('step', [steps.Check, steps.Store])
def test_staged_bytes_that_somebody_changed_or_removed_are_not_used(begun, size, step):
    begun.do(*steps_before(step))
    staged = begun.values['staged']
    assert STEP[steps.Fetch].is_reusable(staged)
    if size is None:
        os.unlink(staged['path'])
    else:
        os.truncate(staged['path'], size)
    assert not STEP[steps.Fetch].is_reusable(staged)
    with pytest.raises(errors.StagingChanged):
        begun.do(STEP[step])


def test_staged_bytes_that_are_removed_while_they_are_stored_are_no_fault_of_the_store(begun):
    class Removed(FakeStore):
        def add(self, url, path, **_options):
            os.unlink(path)
            with files.named_errors('the image store'):
                os.stat(path)

    begun.do(*steps_before(steps.Store))
    stores = Stores({'filesystem': Removed()}, default='filesystem')
    toolbox.fill(dataclasses.replace(toolbox.current(), stores=stores))
    with pytest.raises(errors.StagingChanged):
        begun.do(STEP[steps.Store])


def test_staged_bytes_that_are_cut_while_they_are_stored_do_not_become_an_image(begun):
    class Cut(FakeStore):
        def add(self, url, path, **options):
            os.truncate(path, 1)
            super().add(url, path, **options)

    begun.do(*steps_before(steps.Store))
    stores = Stores({'filesystem': Cut()}, default='filesystem')
    toolbox.fill(dataclasses.replace(toolbox.current(), stores=stores))
    with pytest.raises(errors.StagingChanged):
        begun.do(STEP[steps.Store])


def test_a_step_that_breaks_because_the_lease_is_lost_says_so(begun):
    """Whoever took the task over may have removed what it worked on."""
    begun.do(*steps_before(steps.Store))
    queue = toolbox.current().queue
    queue.expire([queue.holders()[0]])
    assert queue.claim('them', 1, seconds=30, versions={'import': 1})
    os.unlink(begun.values['staged']['path'])
    with pytest.raises(LostLease):
        begun.do(STEP[steps.Store])
