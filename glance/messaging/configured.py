"""The configured broker, and the name of this process on it. kombu is imported when needed."""

import importlib.metadata
import os
import typing
import uuid

from glance.domain import errors
from glance.domain.events import host_here

if typing.TYPE_CHECKING:
    from glance.messaging.broker import Broker

WORKER_BASED = 'worker-based'  # the engine_mode in which workers do steps


def is_worker_based(conf: typing.Any) -> bool:
    """Whether workers do steps."""
    mode = conf.taskflow_executor.engine_mode
    return bool(conf.task.task_executor == 'taskflow' and mode == WORKER_BASED)


def broker(options: typing.Any) -> 'Broker':
    """The broker of the section [taskflow_workers]. Raises ConfigError if it cannot be used."""
    try:
        from glance.messaging.broker import Broker
    except ModuleNotFoundError as error:
        raise errors.ConfigError(
            f'Workers need the Python package "{error.name}", which is not installed; it comes '
            'with the extra "workers" of this distribution.'
        ) from None
    return Broker(options.transport, options.address, options.exchange)


def process_name() -> str:
    """A name that no other process has or had."""
    return f'{host_here()}.{os.getpid()}.{uuid.uuid4().hex[:12]}'


def version() -> str:
    """The version of the service, which a worker and its conductors must have in common."""
    return importlib.metadata.version('glance-taskflow')
