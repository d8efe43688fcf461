"""Task records in memory."""

import collections.abc
import dataclasses
import datetime

from glance.domain import errors
from glance.domain.entry import Entry
from glance.domain.events import Event
from glance.domain.idempotency import LIFETIME, IdempotencyKey
from glance.domain.listing import Listing
from glance.domain.task import Task, told_at_accept
from glance.interfaces.repositories import TaskRepository
from glance.interfaces.writes import Write
from glance.testing.fakes import writes as fake_writes
from glance.testing.fakes.paging import page_of
from glance.testing.fakes.queue import FakeQueue


class FakeTaskRepository(TaskRepository):
    """Keeps tasks by their id, in records; status and message come from the queue.

    queue  gets the entries
    """

    def __init__(self, queue: FakeQueue) -> None:
        self._queue = queue
        self.records: dict[str, Task] = {}
        # (owner, text) to (task id, fingerprint, time)
        self.keys: dict[tuple[str, str], tuple[str, str, datetime.datetime]] = {}

    def add(
        self,
        task: Task,
        entry: Entry,
        writes: collections.abc.Iterable[Write] = (),
        *,
        key: IdempotencyKey | None = None,
    ) -> bool:
        if key is not None and self.of_key(key) is not None:
            return False
        fake_writes.apply(writes, None)
        if key is not None:
            at = datetime.datetime.now(datetime.UTC)
            self.keys[key.owner, key.text] = task.id, key.fingerprint, at
        self.records[task.id] = task
        self._queue.add(
            entry.task_id,
            type_=entry.type,
            priority=entry.priority,
            version=entry.flow_version,
            work=entry.work,
            told=told_at_accept(task),
        )
        return True

    def of_key(self, key: IdempotencyKey) -> tuple[Task, str] | None:
        task_id, fingerprint, at = self.keys.get((key.owner, key.text), ('', '', None))
        task = self.records.get(task_id)
        if at is None or task is None or _is_expired(task) or _is_too_old(at):
            return None
        return self._current(task), fingerprint

    def ended(self, ids: collections.abc.Collection[str]) -> list[Task]:
        known = [self._whole(task) for task in self.records.values() if task.id in ids]
        return [task for task in known if task.ended]

    def get(self, task_id: str, *, owner: str | None = None) -> Task:
        task = self.records.get(task_id)
        if task is None or _is_expired(task) or owner not in (None, task.owner):
            raise errors.TaskNotFound(task_id)
        return self._whole(task)

    def events(
        self, task_id: str, *, limit: int, after: int = 0, owner: str | None = None
    ) -> list[Event]:
        self.get(task_id, owner=owner)
        found = self._queue.events_of(task_id)
        if after and after not in [event.seq for event in found]:
            raise errors.Invalid(f'"marker" {after} is not an event of this task.')
        return [event for event in found if event.seq > after][:limit]

    def page(self, listing: Listing, *, owner: str | None = None) -> list[Task]:
        return [
            dataclasses.replace(task, input={}, result=None, message='')
            for task in page_of(self._readable(owner), listing)
        ]

    def of_image(self, image_id: str, *, owner: str | None = None) -> list[Task]:
        found = [task for task in self._readable(owner) if task.image_id == image_id]
        return sorted(found, key=lambda task: (task.created_at, task.id), reverse=True)

    def purge(self, *, limit: int) -> int:
        expired = [task.id for task in self.records.values() if _is_expired(task)][:limit]
        for task_id in expired:
            del self.records[task_id]
        self.keys = {name: kept for name, kept in self.keys.items() if kept[0] in self.records}
        return len(expired)

    def forget_keys(self) -> int:
        old = [name for name, (_, _, at) in self.keys.items() if _is_too_old(at)]
        for name in old:
            del self.keys[name]
        return len(old)

    def _readable(self, owner: str | None) -> list[Task]:
        return [
            self._current(task)
            for task in self.records.values()
            if not _is_expired(task) and owner in (None, task.owner)
        ]

    def _whole(self, task: Task) -> Task:
        return dataclasses.replace(self._current(task), steps=self._queue.progress_of(task.id)[1])

    def _current(self, task: Task) -> Task:
        status, message = self._queue.status_of(task.id)
        percent = self._queue.progress_of(task.id)[0]
        task = dataclasses.replace(task, status=status, message=message, progress=percent)
        asked = self._queue.cancel_of(task.id)
        if asked is not None:
            reason, user_id = asked
            now = datetime.datetime.now(datetime.UTC)
            task = dataclasses.replace(
                task, cancelled_at=now, cancelled_by=user_id, cancel_reason=reason
            )
        return task


def _is_expired(task: Task) -> bool:
    now = datetime.datetime.now(datetime.UTC)
    return task.expires_at is not None and task.expires_at <= now


def _is_too_old(at: datetime.datetime) -> bool:
    age = datetime.datetime.now(datetime.UTC) - at
    return age.total_seconds() >= LIFETIME
