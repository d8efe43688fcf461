"""What a fake queue keeps of what happened to its tasks, and of how far they are."""

import dataclasses

from glance.domain import steps
from glance.domain.events import Event, Kind, PendingEvents, place_of
from glance.domain.lease import Lease
from glance.domain.steps import RunReport, StepReport


class FakeTimelines:
    """The events of each task, in of, and what its run reported last."""

    def __init__(self) -> None:
        self.of: dict[str, list[Event]] = {}
        self._reports: dict[str, RunReport] = {}

    def record(self, task_id: str, *events: Event) -> None:
        """Write events as they are."""
        known = self.of.setdefault(task_id, [])
        for event in events:
            known.append(dataclasses.replace(event, seq=len(known) + 1))

    def write(self, lease: Lease, *events: Event, everything: bool = False) -> None:
        """Write the events that wait in a lease, and these, as those of its claim."""
        pending = lease.events
        for event in pending.take(*events, everything=everything):
            self.record(
                lease.task_id,
                dataclasses.replace(
                    event, attempt=lease.number, host=pending.host, process=pending.process
                ),
            )

    def claimed(self, task_id: str, number: int, holder: str) -> Lease:
        """A process takes a task; returns its lease."""
        self.about(task_id, number, holder, Event(Kind.CLAIMED))
        return Lease(task_id, number, PendingEvents(holder))

    def about(self, task_id: str, number: int, holder: str | None, event: Event) -> None:
        """Write an event about a claim that another process tells."""
        host, process = place_of(holder)
        told = dataclasses.replace(event, attempt=number, host=host, process=process)
        self.record(task_id, told)

    def died(self, task_id: str, number: int, holder: str | None) -> None:
        """The holder of a claim died at the steps that it reported last."""
        found = self._at_work(task_id)
        event = Event(Kind.EXPIRED)
        if found:
            event = Event(Kind.EXPIRED, found[0].name, steps.moved(found[0]))
        self.about(task_id, number, holder, event)
        self.stopped(task_id)

    def handed_back(self, lease: Lease, reason: str) -> None:
        """A run gives its task back."""
        self.write(lease, Event(Kind.HANDED_BACK, detail={'reason': reason}))
        self.stopped(lease.task_id)

    def report(self, lease: Lease, report: RunReport | None) -> None:
        """A renewal reports how far a run is; None: as far as before."""
        self.write(lease, everything=report is not None)
        if report is not None:
            self._reports[lease.task_id] = report

    def stopped(self, task_id: str) -> None:
        """Nothing of a task is at work."""
        last = self._reports.get(task_id, RunReport())
        self._reports[task_id] = dataclasses.replace(last, at_work=())

    def ended(self, lease: Lease, percent: int, *events: Event) -> None:
        """A task has ended."""
        self.write(lease, *events)
        last = self._reports.get(lease.task_id, RunReport())
        self._reports[lease.task_id] = RunReport(percent=max(percent, last.percent))

    def progress_of(self, task_id: str) -> tuple[int, list[StepReport]]:
        """How many percent of a task are done, and its steps so far."""
        percent = self._reports.get(task_id, RunReport()).percent
        return percent, steps.so_far(self.of[task_id], self._at_work(task_id))

    def _at_work(self, task_id: str) -> list[StepReport]:
        report = self._reports.get(task_id)
        return steps.at_work(report.steps) if report else []
