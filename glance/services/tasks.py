"""The task service: what a caller can do with tasks."""

import collections.abc
import copy
import dataclasses
import datetime
import logging
import time
import typing
import uuid

from glance.domain import errors
from glance.domain.caller import Caller
from glance.domain.entry import Entry, plain_work
from glance.domain.events import Event
from glance.domain.idempotency import IdempotencyKey
from glance.domain.image import UUID
from glance.domain.listing import Listing
from glance.domain.task import RESERVED_TYPES, Status, Task, parse_reason
from glance.interfaces.executor import TaskExecutor
from glance.interfaces.flow import Flow
from glance.interfaces.queue import TaskQueue
from glance.interfaces.repositories import TaskRepository
from glance.interfaces.task_type import ApiService, Plan, TaskType
from glance.interfaces.writes import WrongWrite
from glance.services.waiting import IsGone, Waiting

LOG = logging.getLogger(__name__)

TRIES = 3  # of a POST whose key stands for a task that is removed at the same time


class Tasks:
    """Accepts, shows and cancels tasks.

    types    by name: the task types
    service  what they may use to plan a task
    broken   by name: why a task type that is installed cannot be used
    waiting  how many requests may wait for the end of a task at a time

    The attribute types has the names of the types that users can create, and
    known_types also those that only the service creates.
    """

    def __init__(
        self,
        repository: TaskRepository,
        queue: TaskQueue,
        executor: TaskExecutor,
        types: collections.abc.Mapping[str, TaskType],
        service: ApiService,
        broken: collections.abc.Mapping[str, str] | None = None,
        *,
        waiting: int = 0,
    ) -> None:
        self._repository = repository
        self._queue = queue
        self._executor = executor
        self._types = types
        self._service = service
        self._broken = broken or {}
        self._waiting = Waiting(repository, most=waiting)
        queue.on_end = self._waiting.tell
        self.types = tuple(name for name, known in types.items() if known.postable)
        self.known_types = tuple(dict.fromkeys((*self.types, *types, *RESERVED_TYPES)))

    def lacks(self) -> list[str]:
        """What accepted tasks wait for that somebody has to provide: a sentence each."""
        return self._executor.lacks()

    def type(self, name: str) -> TaskType:
        """A type that users can create. Raises Invalid, or PluginBroke for a broken plug-in."""
        if name in self._broken:
            LOG.error(
                'A task of type "%s" cannot be accepted: %s',
                name,
                self._broken[name],
                extra={'action': 'task_type_broken'},
            )
            raise errors.PluginBroke(f'task type "{name}"')
        if name not in self.types:
            raise errors.Invalid(
                f'"type" must be one of {", ".join(self.types)}, not {name[:80]}.'
            )
        return self._types[name]

    def create(self, type_: str, given: dict[str, typing.Any], *, by: Caller) -> Task:
        """Accept a task. An accepted task will end, even if processes die.

        given  the input, which fits the input_schema of the type

        Raises what the plan() of the type raises, what its writes raise, and
        PluginBroke if it breaks the rules of task types.
        """
        return self.create_once(type_, given, by=by, key=None)[0]

    def create_once(
        self, type_: str, given: dict[str, typing.Any], *, by: Caller, key: IdempotencyKey | None
    ) -> tuple[Task, bool]:
        """create(), unless the key stands for a task: then that one, as of_key() shows it.

        Returns the task, and whether it is a new one.
        """
        return self._create(type_, given, by, key, by.project_id)

    def retry(
        self, failed: Task, *, by: Caller, key: IdempotencyKey | None = None
    ) -> tuple[Task, bool]:
        """Accept a task that repeats a failed one, for its owner. Returns what create_once() does.

        Raises Conflict if the task has not failed, or its type is not there any more;
        else what create() raises.
        """
        self.verify_retry(failed)
        return self._create(failed.type, failed.input, by, key, failed.owner, failed.id)

    def verify_retry(self, failed: Task) -> None:
        """Raises Conflict if a task cannot be repeated."""
        if failed.status != Status.FAILURE:
            raise errors.Conflict(
                f'Task {failed.id} is {failed.status}; only a failed task can be retried.'
            )
        if failed.type not in self.types and failed.type not in self._broken:
            raise errors.Conflict(
                f'Task {failed.id} cannot be retried: this service does not create tasks of '
                f'type "{failed.type}" any more.'
            )

    def of_key(self, key: IdempotencyKey) -> Task | None:
        """The task for which a key stands, as it was when it was accepted; or None.

        Raises Conflict if the key came with another request.
        """
        found = self._repository.of_key(key)
        if found is None:
            return None
        task, fingerprint = found
        if fingerprint != key.fingerprint:
            raise errors.Conflict(
                'This "Idempotency-Key" came with another request before; each request needs a '
                'key of its own.'
            )
        return task.as_accepted()

    def _create(
        self,
        type_: str,
        given: dict[str, typing.Any],
        by: Caller,
        key: IdempotencyKey | None,
        owner: str,
        retry_of: str | None = None,
    ) -> tuple[Task, bool]:
        task_type = self.type(type_)
        plan = self._plan(task_type, given, dataclasses.replace(by, project_id=owner))
        at = datetime.datetime.now(datetime.UTC)
        task = Task(
            id=str(uuid.uuid4()),
            type=type_,
            owner=owner,
            input=given,
            created_at=at,
            updated_at=at,
            image_id=plan.image_id,
            request_id=by.request_id,
            user_id=by.user_id,
            retry_of=retry_of,
        )
        entry = Entry(task.id, type_, task_type.flow.version, dict(plan.work))
        try:
            earlier = self._add(task, entry, plan, key)
        except WrongWrite as error:
            raise _broke(type_, 'planned a write that a POST cannot make', error) from error
        if earlier is not None:
            return earlier, False
        self._executor.submit(task.id)
        return task, True

    def _add(
        self, task: Task, entry: Entry, plan: Plan, key: IdempotencyKey | None
    ) -> Task | None:
        """Write a new task. Returns the one that was written instead, at the same time."""
        for _ in range(TRIES):
            if self._repository.add(task, entry, plan.writes, key=key) or key is None:
                return None
            earlier = self.of_key(key)
            if earlier is not None:
                return earlier
        raise errors.Unavailable(
            'Other requests use this "Idempotency-Key" at this moment; try again later.'
        )

    def _plan(self, task_type: TaskType, given: dict[str, typing.Any], by: Caller) -> Plan:
        """The plan of a new task; its work is plain data."""
        name = task_type.flow.type
        try:
            plan = task_type.plan(copy.deepcopy(given), by, self._service)
        except errors.GlanceError:
            raise
        except (Exception, SystemExit) as error:
            raise _broke(name, 'failed to plan a task', error) from error
        try:
            return _plain(plan, task_type.flow)
        except Exception as error:
            raise _broke(name, 'made a plan that cannot be used', error) from error

    def get(self, task_id: str, *, by: Caller) -> Task:
        """A task that the caller may see. Raises TaskNotFound."""
        return self._repository.get(task_id, owner=_owner(by))

    def wait(
        self, task_id: str, seconds: float, *, by: Caller, is_gone: IsGone
    ) -> tuple[Task, float]:
        """A task that the caller may see, once it has ended or so many seconds are over.

        is_gone  whether the client has hung up

        Returns the task and how many seconds it was waited for; 0 if it had ended before,
        or if too many wait already. Raises TaskNotFound.
        """
        with self._waiting.place(task_id, is_gone) as place:
            task = self.get(task_id, by=by)
            if task.ended or place is None or seconds <= 0:
                return task, 0.0
            begun = time.monotonic()
            ended = place.wait(seconds)
            waited = time.monotonic() - begun
        return ended or self.get(task_id, by=by), waited

    def stop_waiting(self) -> None:
        """Answer all who wait, with their tasks as they are."""
        self._waiting.stop()

    def events(
        self, task_id: str, *, by: Caller, limit: int, after: int = 0
    ) -> collections.abc.Sequence[Event]:
        """What happened to a task, behind an event. Raises TaskNotFound, Invalid."""
        return self._repository.events(task_id, limit=limit, after=after, owner=_owner(by))

    def list(self, listing: Listing, *, by: Caller) -> collections.abc.Sequence[Task]:
        """A page of tasks without input, result and message. Raises Invalid."""
        return self._repository.page(listing, owner=_owner(by))

    def of_image(self, image_id: str, *, by: Caller) -> collections.abc.Sequence[Task]:
        """The tasks of an image that the caller may see."""
        return self._repository.of_image(image_id, owner=_owner(by))

    def cancel(self, task_id: str, *, by: Caller, reason: str | None = None) -> Task:
        """Ask a task to stop; it soon ends as a failure. Returns the task.

        A second request changes nothing while the first is under way.

        Raises Invalid for a bad reason, TaskNotFound, and Conflict if it has ended.
        """
        why = parse_reason(reason)
        task = self.get(task_id, by=by)
        if not self._queue.cancel(task.id, reason=why, by=by.user_id):
            raise errors.Conflict(
                f'Task {task.id} has ended or is about to; it cannot be cancelled.'
            )
        self._executor.cancel(task.id)
        return self.get(task_id, by=by)


def _plain(plan: Plan, flow: Flow) -> Plan:
    """The plan as plain data. What it raises says what is wrong with the plan."""
    if not isinstance(plan, Plan):
        raise TypeError(f'plan() returned {type(plan).__name__}, not a Plan')
    if plan.image_id is not None and not UUID.fullmatch(plan.image_id):
        raise ValueError('Plan.image_id is not a UUID')
    work = plain_work(plan.work, provided=flow.provided())
    return Plan(work, plan.image_id, tuple(plan.writes))


def _broke(name: str, what: str, error: BaseException) -> errors.PluginBroke:
    """Log what a plug-in did; returns the error for the client."""
    LOG.error(
        'The task type "%s" %s', name, what, exc_info=error, extra={'action': 'task_type_broken'}
    )
    return errors.PluginBroke(f'task type "{name}"')


def _owner(by: Caller) -> str | None:
    """The project whose tasks the caller may see; None: all tasks."""
    return None if by.is_admin else by.project_id
