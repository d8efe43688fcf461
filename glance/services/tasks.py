"""What callers can do with tasks."""

import collections.abc
import datetime
import typing
import uuid

from glance import interfaces
from glance.domain import errors
from glance.domain.caller import Caller
from glance.domain.entry import Entry
from glance.domain.listing import Listing
from glance.domain.task import Task

Planner = collections.abc.Callable[..., dict[str, typing.Any]]


class Tasks:
    """Accepts, shows and cancels tasks.

    planners  task type to a function (input, by=caller) that checks the input
              and returns the work of the entry
    versions  task type to the version of its flow
    """

    def __init__(
        self,
        repository: interfaces.TaskRepository,
        queue: interfaces.TaskQueue,
        executor: interfaces.TaskExecutor,
        planners: collections.abc.Mapping[str, Planner],
        versions: collections.abc.Mapping[str, int],
    ) -> None:
        self._repository = repository
        self._queue = queue
        self._executor = executor
        self._planners = planners
        self._versions = versions

    @property
    def types(self) -> tuple[str, ...]:
        """The task types that can be created."""
        return tuple(self._planners)

    def create(self, type_: str, given: typing.Any, *, by: Caller) -> Task:
        """Accept a task: once this returns, it will end.

        Raises Invalid, Forbidden, TooLarge or SourceRefused for what was
        given, ImageExists for an image id that is taken.
        """
        if type_ not in self._planners:
            raise errors.Invalid(
                f'"type" must be one of {", ".join(self._planners)}, not {type_[:80]}.'
            )
        work = self._planners[type_](given, by=by)
        at = datetime.datetime.now(datetime.UTC)
        task = Task(
            id=str(uuid.uuid4()),
            type=type_,
            owner=by.project_id,
            input=given,
            created_at=at,
            updated_at=at,
            image_id=work.get('image_id'),
            request_id=by.request_id,
            user_id=by.user_id,
        )
        self._repository.add(task, Entry(task.id, type_, self._versions[type_], work))
        self._executor.submit(task.id)
        return task

    def get(self, task_id: str, *, by: Caller) -> Task:
        """Raises TaskNotFound."""
        return self._repository.get(task_id, owner=_owner(by))

    def list(self, listing: Listing, *, by: Caller) -> collections.abc.Sequence[Task]:
        """A page of tasks without input, result and message. Raises Invalid."""
        return self._repository.page(listing, owner=_owner(by))

    def of_image(self, image_id: str, *, by: Caller) -> collections.abc.Sequence[Task]:
        """The tasks of an image that the caller may see."""
        return self._repository.of_image(image_id, owner=_owner(by))

    def cancel(self, task_id: str, *, by: Caller) -> None:
        """Ask a task to stop; it ends as a failure soon. Raises TaskNotFound, Conflict."""
        task = self.get(task_id, by=by)
        if not self._queue.cancel(task.id):
            raise errors.Conflict(f'Task {task.id} has ended; it cannot be cancelled.')
        self._executor.cancel(task.id)


def _owner(by: Caller) -> str | None:
    return None if by.is_admin else by.project_id
