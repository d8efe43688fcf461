"""The task type "import": fetch a URL and make an image of it."""

import typing

from glance import toolbox
from glance.domain import errors, imports
from glance.domain.caller import Caller
from glance.domain.lease import Lease
from glance.domain.leftover import Leftover
from glance.flows import import_tools, step_calls, steps
from glance.interfaces.flow import Flow
from glance.interfaces.task_type import ApiService, Plan, TaskType

# Seconds that a POST waits for the addresses of its sources. A name server that is gone takes the
# system five until it asks the next one.
LOOK_UP_TIMEOUT = 10.0

STEPS = (steps.CreateRecord(), steps.Fetch(), steps.Check(), steps.Store(), steps.Finish())


def discard(lease: Lease, work: dict[str, typing.Any]) -> None:
    """Remove everything that an import owns: stored bytes, image record, staged bytes."""
    values = work | {'lease': lease}
    for step in (steps.Store(), steps.CreateRecord()):
        step_calls.undo(step, values)
    cleanup(lease)


def cleanup(lease: Lease) -> None:
    """Remove what this claim and earlier ones staged."""
    staging = toolbox.current().staging
    step_calls.remove(
        lease,
        'its staged bytes could not be removed',
        lambda: staging.remove(lease, earlier=True),
        lambda: [Leftover('staging', staging.folder(lease, earlier=True))],
    )


class ImportImage(TaskType):
    """Imports an image. Its options are those of the service, for other types may use them."""

    flow = Flow(
        type=import_tools.TYPE,
        version=2,  # 1: import_from was one URL, and there was no import_checksum
        steps=STEPS,
        discard=discard,
        cleanup=cleanup,
        upgrade=imports.upgrade,
    )
    input_schema = imports.INPUT_SCHEMA

    def plan(self, given: dict[str, typing.Any], caller: Caller, service: ApiService) -> Plan:
        work = imports.parse(given, service.limits, by=caller, store=service.default_store)
        try:
            service.import_filter.verify_all(
                work.import_from, service.resolver, within=LOOK_UP_TIMEOUT
            )
        except errors.SourceRefused as error:
            raise type(error)(f'"input.import_from": {error}') from None
        return Plan(work.as_dict(), work.image_id, [service.images.absence(work.image_id)])

    def tools(self, conf: typing.Any) -> import_tools.ImportTools:
        return import_tools.from_conf(conf)
