"""The messages between conductors and the workers that do steps for them.

A message carries no right and no data. It names a step of a lease; work and results
are in the queue and in the logbook, and the fence decides who may write there. So
whoever can write to the broker can do no more than a lease allows.

    Order          conductor to worker: do this step of this lease
    Answer         worker to conductor: the step has ended; look at the logbook
    Heard          conductor to worker: the answer has arrived; do not repeat it
    Beat           worker to conductor: at work on these orders
    Announcement   worker to all: I am here, or I leave
    Question       anyone to all workers: who is here?
    Sweep          conductor to all workers: look whether this task has ended
"""

import dataclasses
import enum
import re
import typing

from glance.domain.lease import Lease

SCHEMA = 4  # grows when a message changes in a way that older processes cannot read
LONGEST_TEXT = 255
LONGEST_LIST = 1000
LARGEST_COUNT = 2**31 - 1  # a larger one fits into no column of the database
MOST_BYTES = 2**50  # no image has as many

_UUID = re.compile('[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
_TASK = re.compile('[0-9A-Za-z-]{1,36}')
_NAME = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_.:@/ -]*')


class NotOurs(ValueError):
    """A message that this service has not sent, or not in this version."""


class Ending(enum.StrEnum):
    """How a step has ended at a worker. None of them is believed: they say where to look."""

    DONE = 'done'  # its result is in the logbook
    FAILED = 'failed'  # the reason is in the entry
    DATABASE_GONE = 'database-gone'  # the worker cannot reach the database
    HANDED_BACK = 'handed-back'  # the worker stops, lacks something, or has lost the lease
    STUCK = 'stuck'  # the task is cancelled, and the step goes on all the same
    REFUSED = 'refused'  # the worker does not know this step or this lease
    HOST_GONE = 'host-gone'  # no worker has the staged files; no worker says this


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """sending is new for each message; reply_to is the address of the conductor."""

    task_id: str
    lease: int
    step: str
    reply_to: str
    sending: str

    def __post_init__(self) -> None:
        _require('task_id', self.task_id, _TASK)
        _require('sending', self.sending, _UUID)
        _require('step', self.step, _NAME)
        _require('reply_to', self.reply_to, _NAME)
        _require_count('lease', self.lease, least=1)

    @property
    def of(self) -> Lease:
        return Lease(self.task_id, self.lease)


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    worker: str
    sending: str
    ending: str

    def __post_init__(self) -> None:
        _require('worker', self.worker, _NAME)
        _require('sending', self.sending, _UUID)
        if self.ending not in frozenset(Ending):
            raise NotOurs('"ending" is none that is known')


@dataclasses.dataclass(frozen=True, slots=True)
class Heard:
    sending: str

    def __post_init__(self) -> None:
        _require('sending', self.sending, _UUID)


@dataclasses.dataclass(frozen=True, slots=True)
class Beat:
    """The bytes that each order has moved; -1 if its step waits until it may begin."""

    worker: str
    at_work: dict[str, int]

    def __post_init__(self) -> None:
        _require('worker', self.worker, _NAME)
        if len(self.at_work) > LONGEST_LIST:
            raise NotOurs('"at_work" is too long')
        for sending, moved in self.at_work.items():
            _require('at_work', sending, _UUID)
            _require_count('at_work', moved, least=-1, most=MOST_BYTES)


@dataclasses.dataclass(frozen=True, slots=True)
class Announcement:
    """What a worker can do. slots is how many orders it takes at the same time.

    worker   its address
    area     the id of its staging area; workers that share one have the same
    stores   those that it can reach now
    folders  by store, the id of its folder, if it has one
    leaving  whether it takes no more orders
    types    the task types of which it knows the steps, with the version of each
    """

    worker: str
    host: str
    area: str
    version: str
    deployment: str
    topics: list[str]
    stores: list[str]
    slots: int
    free: int
    leaving: bool = False
    types: dict[str, int] = dataclasses.field(default_factory=dict)
    folders: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ('worker', 'host', 'area', 'version', 'deployment'):
            _require(name, getattr(self, name), _NAME)
        for name in ('slots', 'free'):
            _require_count(name, getattr(self, name))
        for name in ('topics', 'stores'):
            texts = getattr(self, name)
            if len(texts) > LONGEST_LIST:
                raise NotOurs(f'"{name}" is too long')
            for text in texts:
                _require(name, text, _NAME)
        if len(self.types) > LONGEST_LIST:
            raise NotOurs('"types" is too long')
        for type_, version in self.types.items():
            _require('types', type_, _NAME)
            _require_count('types', version)
        if len(self.folders) > LONGEST_LIST:
            raise NotOurs('"folders" is too long')
        for text in (*self.folders, *self.folders.values()):
            _require('folders', text, _NAME)


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """Asks all workers to announce themselves."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sweep:
    """Asks all workers to look into the queue, and remove what an ended task has staged."""

    task_id: str

    def __post_init__(self) -> None:
        _require('task_id', self.task_id, _TASK)


Message = Order | Answer | Heard | Beat | Announcement | Question | Sweep

_KINDS: dict[str, type[Message]] = {
    'order': Order,
    'answer': Answer,
    'heard': Heard,
    'beat': Beat,
    'announcement': Announcement,
    'question': Question,
    'sweep': Sweep,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def to_wire(message: Message) -> dict[str, typing.Any]:
    """A message as plain data."""
    return {'schema': SCHEMA, 'kind': _NAMES[type(message)]} | {
        field.name: getattr(message, field.name) for field in dataclasses.fields(message)
    }


def from_wire(data: object) -> Message:
    """The message of plain data. Raises NotOurs, with what is wrong, if it is none."""
    if not isinstance(data, dict):
        raise NotOurs('it is no object')
    if data.get('schema') != SCHEMA:
        raise NotOurs(f'its schema is not {SCHEMA}')
    kind = _KINDS.get(data['kind']) if isinstance(data.get('kind'), str) else None
    if kind is None:
        raise NotOurs('its kind is not known')
    fields = dataclasses.fields(kind)
    values = {name: value for name, value in data.items() if name not in ('schema', 'kind')}
    if values.keys() != {field.name for field in fields}:
        raise NotOurs('its fields are not those of its kind')
    for field in fields:
        _require_type(field.name, values[field.name], field.type)
    return kind(**values)


def _require_type(name: str, value: object, wanted: typing.Any) -> None:
    if not isinstance(value, outer := typing.get_origin(wanted) or wanted):
        raise NotOurs(f'"{name}" is of the wrong type')
    if outer is int and isinstance(value, bool):
        raise NotOurs(f'"{name}" is of the wrong type')


def _require_count(name: str, count: object, *, least: int = 0, most: int = LARGEST_COUNT) -> None:
    if type(count) is not int or not least <= count <= most:
        raise NotOurs(f'"{name}" has a number that cannot be')


def _require(name: str, text: object, pattern: re.Pattern[str]) -> None:
    if not isinstance(text, str) or len(text) > LONGEST_TEXT or not pattern.fullmatch(text):
        raise NotOurs(f'"{name}" is not of the form that it has')
