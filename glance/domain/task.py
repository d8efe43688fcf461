"""The task of the API, and the changes of its status that are allowed."""

import dataclasses
import datetime
import enum
import typing
import unicodedata

from glance.domain import errors
from glance.domain.steps import StepReport

# Types of the tasks that Glance creates by itself. Clients may filter lists by them.
RESERVED_TYPES = ('api_image_import', 'location_import')


MAX_REASON = 1024  # bytes of the reason for a cancel, as UTF-8


class Status(enum.StrEnum):
    """The status of a task; SUCCESS and FAILURE are final."""

    PENDING = 'pending'  # accepted; no executor has begun
    PROCESSING = 'processing'  # an executor is at work
    SUCCESS = 'success'  # ended well; the task has a result
    FAILURE = 'failure'  # ended; the message of the task says why


# Status to the statuses that may follow it.
NEXT = {
    Status.PENDING: {Status.PROCESSING, Status.FAILURE},  # FAILURE if it never begins
    Status.PROCESSING: {Status.SUCCESS, Status.FAILURE},
    Status.SUCCESS: set(),
    Status.FAILURE: set(),
}


def before(status: Status) -> list[Status]:
    """The statuses that this status may follow."""
    return [earlier for earlier, later in NEXT.items() if status in later]


@dataclasses.dataclass
class Task:
    """What a user asked for, how far it is, and its result. Times are aware, in UTC.

    steps  those that have begun; in lists of tasks, none
    """

    id: str
    type: str
    owner: str
    input: dict[str, typing.Any]
    created_at: datetime.datetime
    updated_at: datetime.datetime
    status: Status = Status.PENDING
    result: dict[str, typing.Any] | None = None
    message: str = ''
    expires_at: datetime.datetime | None = None
    image_id: str | None = None
    request_id: str | None = None
    user_id: str | None = None
    retry_of: str | None = None  # the failed task that this one repeats
    # Who asked for the cancel, when and why. The task ends soon after, if it has not ended yet.
    cancelled_at: datetime.datetime | None = None
    cancelled_by: str | None = None  # the id of the user
    cancel_reason: str | None = None
    progress: int = 0  # percent
    steps: list[StepReport] = dataclasses.field(default_factory=list)

    @property
    def cancelled(self) -> bool:
        """Whether the task has ended by a cancel."""
        return self.status == Status.FAILURE and self.cancelled_at is not None

    @property
    def ended(self) -> bool:
        return not NEXT[self.status]

    def as_accepted(self) -> 'Task':
        """This task as it was when it was accepted."""
        return Task(
            id=self.id,
            type=self.type,
            owner=self.owner,
            input=self.input,
            created_at=self.created_at,
            updated_at=self.created_at,
            image_id=self.image_id,
            request_id=self.request_id,
            user_id=self.user_id,
            retry_of=self.retry_of,
        )

    def begin(self) -> None:
        self._become(Status.PROCESSING)

    def succeed(self, result: dict[str, typing.Any]) -> None:
        self._become(Status.SUCCESS)
        self.result = result

    def fail(self, message: str) -> None:
        self._become(Status.FAILURE)
        self.message = message

    def _become(self, wanted: Status) -> None:
        if wanted not in NEXT[self.status]:
            raise errors.WrongTransition(f'Task {self.id}', self.status, wanted)
        self.status = wanted


def told_at_accept(task: Task) -> dict[str, str]:
    """What the first event of a task tells: by whom it was posted, and which one it repeats."""
    known = {'by': task.user_id, 'retry_of': task.retry_of}
    return {name: value for name, value in known.items() if value}


def parse_reason(given: str | None) -> str | None:
    """The reason for a cancel; None if it is empty. Raises Invalid."""
    if not given:
        return None
    if len(given.encode()) > MAX_REASON:
        raise errors.Invalid(f'"reason" is longer than {MAX_REASON} bytes.')
    if any(unicodedata.category(character) == 'Cc' for character in given):
        raise errors.Invalid('"reason" must not contain control characters.')
    return given
