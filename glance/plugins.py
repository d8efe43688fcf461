"""Plug-ins, which are found by their entry points: task types, executors and stores.

A broken executor or store ends the start if the configuration chooses it. A broken
task type does not: the log names it, its tasks stay in the queue, and a POST of it
is answered with 500, while all other types work.
"""

import collections
import collections.abc
import contextlib
import dataclasses
import functools
import importlib.metadata
import inspect
import json
import logging
import typing

import jsonschema
import stevedore
from oslo_config import cfg

from glance import conf as options
from glance.domain import errors
from glance.domain.entry import RUN_VALUES
from glance.interfaces.executor import TaskExecutor
from glance.interfaces.flow import Flow, Group, Step
from glance.interfaces.store import ImageStore
from glance.interfaces.task_type import TaskType

LOG = logging.getLogger(__name__)

EXECUTORS = 'glance.task_executors'
FLOWS = 'glance.flows'
STORES = 'glance.stores'

LONGEST_TYPE = 30  # characters of the column tasks.type

Base = typing.TypeVar('Base')
_EntryPoint = importlib.metadata.EntryPoint


@dataclasses.dataclass(frozen=True)
class TaskTypes:
    """The installed task types by name, and why others cannot be used."""

    usable: collections.abc.Mapping[str, TaskType]
    broken: collections.abc.Mapping[str, str] = dataclasses.field(default_factory=dict)


@functools.cache
def task_types() -> TaskTypes:
    """The installed task types. They are loaded once; the log names each that is broken."""
    usable, broken = {}, {}
    scratch = cfg.ConfigOpts()  # an option that another part of the service has is an error
    options.register_opts(scratch)
    for name, found in _entry_points(FLOWS).items():
        try:
            usable[name] = _task_type(name, found, scratch)
        except (Exception, SystemExit) as error:
            broken[name] = f'the plug-in {_shown(found)} cannot be used: {_reason(error)}'
            LOG.error(
                'The task type "%s" cannot be used, because %s',
                name,
                broken[name],
                exc_info=None if isinstance(error, errors.ConfigError) else error,
                extra={'action': 'task_type_broken'},
            )
    return TaskTypes(usable, broken)


def own_tools(
    conf: cfg.ConfigOpts, types: collections.abc.Mapping[str, TaskType]
) -> dict[str, typing.Any]:
    """By task type: its own tools. A type whose tools cannot be made is left out, with an error.

    Raises ConfigError if the configuration is to blame.
    """
    made = {}
    for name, task_type in types.items():
        try:
            made[name] = task_type.tools(conf)
        except errors.ConfigError:
            raise
        except Exception:
            LOG.exception(
                'The task type "%s" could not make its tools; this process runs no tasks of it',
                name,
                extra={'action': 'task_type_broken'},
            )
    return made


def executor_class(name: str) -> type[TaskExecutor]:
    """The executor with this name. Raises ConfigError, which lists the known names."""
    what = f'[task] task_executor = {name}'
    return _class(EXECUTORS, name, what, TaskExecutor)  # type: ignore[type-abstract]


def store_class(kind: str) -> type[ImageStore]:
    """The kind of store with this name. Raises ConfigError, which lists the known names."""
    what = f'[DEFAULT] enabled_backends: the kind "{kind}"'
    return _class(STORES, kind, what, ImageStore)  # type: ignore[type-abstract]


@contextlib.contextmanager
def errors_named(what: str, plug_in: type) -> collections.abc.Iterator[None]:
    """A context in which a plug-in is called at the start: what it raises ends the start.

    what     which part of the configuration chose the plug-in
    plug_in  its class

    Raises ConfigError, with the class in place of any other error.
    """
    try:
        yield
    except errors.ConfigError:
        raise
    except (Exception, SystemExit) as error:
        shown = f'{plug_in.__module__}:{plug_in.__qualname__}'
        LOG.error('The plug-in %s failed at the start', shown, exc_info=error)
        raise errors.ConfigError(
            f'{what}: the plug-in {shown} cannot be used: {_reason(error)}.'
        ) from None


def register_opts(
    conf: cfg.ConfigOpts, opts: collections.abc.Iterable[tuple[typing.Any, typing.Any]]
) -> None:
    """Register (group, options) pairs of a plug-in."""
    for group, members in opts:
        conf.register_group(cfg.OptGroup(group.name, title=group.title))
        conf.register_opts(members, group=group.name)


def _entry_points(group: str) -> dict[str, list[_EntryPoint]]:
    """All entry points of a group by name. Each name should have one only."""
    # With no names, it finds all and loads none.
    manager: typing.Any = stevedore.NamedExtensionManager(group, names=())
    found: dict[str, list[_EntryPoint]] = collections.defaultdict(list)
    for entry_point in manager.list_entry_points():
        if entry_point.value not in [other.value for other in found[entry_point.name]]:
            found[entry_point.name].append(entry_point)
    return found


def _load(found: list[_EntryPoint]) -> typing.Any:
    """What an entry point names. Raises ConfigError if several have its name."""
    if len(found) > 1:
        raise errors.ConfigError('several plug-ins have this name')
    return found[0].load()


def _class(group: str, name: str, what: str, base: type[Base]) -> type[Base]:
    known = _entry_points(group)
    if name not in known:
        raise errors.ConfigError(f'{what} is not known; there are {", ".join(sorted(known))}.')
    try:
        loaded = _load(known[name])
        if not (isinstance(loaded, type) and issubclass(loaded, base)):
            raise errors.ConfigError(f'it gives {loaded!r:.100}, no class of {base.__name__}')
        if inspect.isabstract(loaded):
            missing = ', '.join(sorted(vars(loaded)['__abstractmethods__']))
            raise errors.ConfigError(f'its class {loaded.__name__} lacks {missing}')
    except (Exception, SystemExit) as error:
        if not isinstance(error, errors.ConfigError):
            LOG.error('The plug-in %s cannot be loaded', _shown(known[name]), exc_info=error)
        raise errors.ConfigError(
            f'{what}: the plug-in {_shown(known[name])} cannot be used: {_reason(error)}.'
        ) from None
    return loaded


def _task_type(name: str, found: list[_EntryPoint], scratch: cfg.ConfigOpts) -> TaskType:
    """The task type of an entry point. Raises ConfigError, or whatever the plug-in raises."""
    loaded = _load(found)
    made = loaded() if isinstance(loaded, type) else loaded
    if not isinstance(made, TaskType):
        raise errors.ConfigError(f'it gives {loaded!r:.100}, no class of TaskType')
    _check_flow(made.flow, name)
    schema = made.input_schema
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
        json.dumps(schema)
    except jsonschema.SchemaError as error:
        raise errors.ConfigError(
            f'its input_schema is no JSON schema: {error.message:.200}'
        ) from None
    if not isinstance(schema, dict) or schema.get('type', 'object') != 'object':
        raise errors.ConfigError('its input_schema must be one of objects')
    register_opts(scratch, made.options)
    return made


def _check_flow(flow: typing.Any, name: str) -> None:
    """Raises ConfigError if this is not a flow of the task type with this name."""
    if not isinstance(flow, Flow):
        raise errors.ConfigError(f'its flow is {flow!r:.100}, which is no Flow')
    if flow.type != name:
        raise errors.ConfigError(f'its flow is of the type "{flow.type}"')
    if len(name) > LONGEST_TYPE:
        raise errors.ConfigError(f'its name has more than {LONGEST_TYPE} characters')
    if not isinstance(flow.version, int) or flow.version < 1:
        raise errors.ConfigError('the version of its flow must be a whole number from 1')
    if not flow.steps or not all(isinstance(item, Step | Group) for item in flow.steps):
        raise errors.ConfigError('the steps of its flow must be objects of Step or Group')
    names = [step.name for step in flow.all_steps()]
    if len(set(names)) < len(names):
        raise errors.ConfigError('two steps of its flow have the same name')
    provided = [*RUN_VALUES, *flow.provided()]
    if len(set(provided)) < len(provided):
        raise errors.ConfigError(
            'two steps of its flow provide a value of the same name, or of a name of the service'
        )


def _shown(found: list[_EntryPoint]) -> str:
    """The entry points as a sentence names them."""
    return ' and '.join(f'{one.name} = {one.value}' for one in found)


def _reason(error: BaseException) -> str:
    if isinstance(error, errors.ConfigError):
        return str(error)
    return f'{type(error).__name__}: {error}'
