"""What a type of task is: how it is posted, and the flow that its tasks run."""

import abc
import collections.abc
import dataclasses
import typing

from glance.domain import image
from glance.domain.caller import Caller
from glance.domain.import_filter import ImportFilter
from glance.interfaces.flow import Flow
from glance.interfaces.repositories import ImageRepository
from glance.interfaces.resolver import Resolver
from glance.interfaces.writes import Write


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a POST of a task records.

    work      plain data (JSON) that decides the result of the task. Steps get its
              values by name; 'lease' and 'predecessor' are names of the service,
              and what a step provides has another name than the values here
    image_id  the UUID of the image that the task is about, if there is one
    writes    what the transaction of the POST does besides recording the task
    """

    work: collections.abc.Mapping[str, typing.Any]
    image_id: str | None = None
    writes: collections.abc.Sequence[Write] = ()


@dataclasses.dataclass(frozen=True)
class ApiService:
    """What a task type may use to plan a task. It exists in processes that run no tasks, too.

    conf           the configuration; the options of the task type are registered in it
    limits         what the properties and tags of an image may be
    import_filter  which sources may be fetched
    resolver       finds the IP addresses of a host
    images         the image records
    stores         the names of the enabled stores
    default_store  the store for images if nobody names one
    """

    conf: typing.Any
    limits: image.Limits
    import_filter: ImportFilter
    resolver: Resolver
    images: ImageRepository
    stores: collections.abc.Collection[str]
    default_store: str


class TaskType(abc.ABC):
    """A type of task. Subclasses are entry points in glance.flows, built without arguments.

    flow          the Flow of its tasks. The entry point has the name flow.type
    input_schema  the JSON schema of the input of a task, of the type object. A POST
                  is checked against it, and the API shows it to clients
    postable      whether users may POST tasks of this type
    options       (oslo.config's OptGroup, its options) pairs, which are registered
                  before the configuration is checked
    """

    flow: Flow
    input_schema: collections.abc.Mapping[str, typing.Any] = {'type': 'object'}
    postable: bool = True
    options: collections.abc.Sequence[tuple[typing.Any, collections.abc.Sequence[typing.Any]]] = ()

    @abc.abstractmethod
    def plan(self, given: dict[str, typing.Any], caller: Caller, service: ApiService) -> Plan:
        """Decide what a new task will do. It is called at each POST, before anything is written.

        given  the input, which fits input_schema

        A GlanceError is the answer to the client: Invalid, Forbidden, Conflict,
        TooLarge or TaskFailed. The service answers any other exception with 500.
        """

    def tools(self, conf: typing.Any) -> typing.Any:
        """What the steps of this type need besides the tools of the service.

        It is called once in each process that runs tasks. Steps get what it
        returns from toolbox.of(flow.type).
        """
        return None
