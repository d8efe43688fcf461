"""The task: the API's resource, and the only way its status changes."""

import dataclasses
import datetime
import enum
import typing

from glance.domain import errors


class Status(enum.StrEnum):
    PENDING = 'pending'  # accepted; no executor has begun
    PROCESSING = 'processing'  # an executor is at work
    SUCCESS = 'success'  # ended; result says what came of it
    FAILURE = 'failure'  # ended; message says why


NEXT = {
    Status.PENDING: {Status.PROCESSING, Status.FAILURE},  # it may never begin
    Status.PROCESSING: {Status.SUCCESS, Status.FAILURE},
    Status.SUCCESS: set(),
    Status.FAILURE: set(),
}


def before(status: Status) -> list[Status]:
    """The statuses from which a task may become this one."""
    return [earlier for earlier, later in NEXT.items() if status in later]


@dataclasses.dataclass
class Task:
    """What a user asked for and what came of it. Times are aware, in UTC."""

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

    @property
    def ended(self) -> bool:
        return not NEXT[self.status]

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
