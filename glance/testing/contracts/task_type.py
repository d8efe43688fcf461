"""What every TaskType promises, as a test suite."""

import collections.abc
import inspect
import json
import pathlib
import types
import typing

import jsonschema
import pytest

from glance import toolbox
from glance.domain import image
from glance.domain.caller import Caller
from glance.domain.entry import Claim, plain_work
from glance.domain.import_filter import ImportFilter
from glance.interfaces.flow import Step
from glance.interfaces.store import Stores
from glance.interfaces.task_type import ApiService, TaskType
from glance.testing.fakes.images import FakeImageRepository
from glance.testing.fakes.queue import FakeQueue
from glance.testing.fakes.resolver import FakeResolver
from glance.testing.fakes.runs import FakeRunControl
from glance.testing.fakes.staging import FakeStaging
from glance.testing.fakes.store import FakeStore
from glance.testing.fakes.toolbox import fake_toolbox

LIMITS = image.Limits(
    container_formats=('bare',), disk_formats=('raw', 'qcow2'), property_quota=128, tag_quota=128
)


class TaskTypeContract:
    """Mix in; define make_task_type() and make_input().

    make_task_type  the task type
    make_input      an input with which a task succeeds; it may fill self.images, the
                    image records, and call store_bytes(image_id, data)

    make_conf() gives the options of the task type their defaults, as conf.group.option.
    Override it if plan() or tools() read others, and make_tools() if the steps need
    other tools of the service than fakes, by their names in the Toolbox.
    """

    def make_task_type(self) -> TaskType:
        raise NotImplementedError

    def make_input(self) -> dict[str, typing.Any]:
        raise NotImplementedError

    def make_conf(self) -> typing.Any:
        groups = {
            group.name: types.SimpleNamespace(**{opt.dest: opt.default for opt in opts})
            for group, opts in self.task_type.options
        }
        return types.SimpleNamespace(**groups)

    def make_tools(self) -> dict[str, typing.Any]:
        return {}

    def store_bytes(self, image_id: str, data: bytes) -> None:
        """Give an image an active location with these bytes."""
        url = self.store.location_of(image_id, 1)
        self.store.data[url] = data
        self.images.places.append(image.Location(image_id, 'memory', url, 'active'))

    @pytest.fixture(autouse=True)
    def _set_up(self, tmp_path: pathlib.Path) -> collections.abc.Iterator[None]:
        self.task_type = self.make_task_type()
        self.queue = FakeQueue()
        self.images = FakeImageRepository(self.queue.verify_lease)
        self.store = FakeStore()
        conf = self.make_conf()
        tools: dict[str, typing.Any] = {
            'import_filter': ImportFilter(),
            'resolver': FakeResolver(),
        } | self.make_tools()
        self.service = ApiService(
            conf=conf,
            limits=LIMITS,
            import_filter=tools['import_filter'],
            resolver=tools['resolver'],
            images=self.images,
            stores=('memory',),
            default_store='memory',
        )
        toolbox.fill(
            fake_toolbox(
                self.queue,
                FakeRunControl(),
                images=self.images,
                stores=Stores({'memory': self.store}, default='memory'),
                staging=FakeStaging(tmp_path / 'staging'),
                of_types={self.task_type.flow.type: self.task_type.tools(conf)},
                **tools,
            )
        )
        yield
        toolbox.fill(None)

    def claim(self) -> Claim:
        """A task of this type with the input of make_input(), just claimed."""
        given = self.make_input()
        plan = self.task_type.plan(given, Caller('us', 'me', is_admin=True), self.service)
        flow = self.task_type.flow
        self.queue.add('t1', type_=flow.type, version=flow.version, work=dict(plan.work))
        [claim] = self.queue.claim('us', 1, seconds=600, versions={flow.type: flow.version})
        return claim

    def run(self, *, times: int = 1) -> dict[str, typing.Any]:
        """Do all steps of a task, each so many times. Returns the values by name."""
        values = self.claim().values
        for step in self.task_type.flow.all_steps():
            for _ in range(times):
                given = call(step.do, values)
                json.dumps(given)  # it is saved between two steps
            if step.provides:
                values[step.provides] = given
        return values

    def test_the_steps_have_names_of_their_own(self) -> None:
        names = [step.name for step in self.task_type.flow.all_steps()]
        assert names
        assert len(set(names)) == len(names)

    def test_the_schema_accepts_the_input(self) -> None:
        schema = self.task_type.input_schema
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(self.make_input(), schema)

    def test_the_work_is_plain_data_under_names_of_its_own(self) -> None:
        given = self.make_input()
        plan = self.task_type.plan(given, Caller('us', 'me', is_admin=True), self.service)
        provided = self.task_type.flow.provided()
        assert plain_work(plan.work, provided=provided) == dict(plan.work)

    def test_a_task_succeeds(self) -> None:
        lease = self.run()['lease']
        assert self.queue.outcome(lease) == ('success', '')

    def test_each_step_may_be_done_twice(self) -> None:
        lease = self.run(times=2)['lease']
        assert self.queue.outcome(lease) == ('success', '')

    def test_each_step_may_be_undone_without_having_been_done(self) -> None:
        values = self.claim().values
        for step in reversed(self.task_type.flow.all_steps()):
            call(step.undo, values)

    def test_what_was_done_may_be_undone_twice(self) -> None:
        values = self.claim().values
        done: list[Step] = []
        for step in self.task_type.flow.all_steps():
            if step.commits:
                break
            given = call(step.do, values)
            if step.provides:
                values[step.provides] = given
            done.append(step)
        for step in reversed(done):
            for _ in range(2):
                call(step.undo, values)

    def test_a_task_may_be_discarded_and_cleaned_up_twice(self) -> None:
        claim = self.claim()
        for _ in range(2):
            self.task_type.flow.discard(claim.lease, claim.work)
            self.task_type.flow.cleanup(claim.lease)


def call(
    function: collections.abc.Callable[..., typing.Any],
    values: collections.abc.Mapping[str, typing.Any],
) -> typing.Any:
    """Call a method of a step with the values that it takes, by name."""
    taken = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and name in values
    ]
    return function(**{name: values[name] for name in taken})
