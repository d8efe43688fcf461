"""How far a run is, for those who look at its task."""

import collections.abc
import datetime
import time
import typing

from glance import threads
from glance.domain.lease import Progress
from glance.domain.steps import RunReport, StepReport, StepState
from glance.interfaces.flow import Flow

SHORT = 1.0  # seconds; a run that ends sooner reports nothing
PERIOD = 2.0  # seconds at least between two reports that differ in bytes only
MOST = 99  # percent of a task that has not succeeded


class _AtWork(StepReport):
    """A step at work, and the bytes that this claim found done when it began."""

    began = 0.0
    found: int | None = None


class Meter:
    """The steps of one run that are at work, and how many percent of the task are done.

    The percentage weighs each step by Step.weight, and never falls.

    weights  by the name of the step, in order
    percent  what earlier claims have shown. One that begins anew keeps it until it is further:
             the task shows it already, and must not fall back amid a claim
    """

    def __init__(
        self, attempt: int, weights: collections.abc.Mapping[str, float], percent: int = 0
    ) -> None:
        self._attempt = attempt
        self._weights = dict(weights)
        self._done: set[str] = set()
        self._at_work: dict[typing.Any, _AtWork] = {}  # by thread
        self._percent = percent
        self.begun_at = time.monotonic()
        self._reported = RunReport()
        self.reported_at = -PERIOD  # monotonic time of the last report

    @classmethod
    def of(cls, flow: Flow, attempt: int, percent: int) -> 'Meter':
        return cls(attempt, {step.name: step.weight for step in flow.all_steps()}, percent)

    def resume(self, finished: int) -> None:
        """So many steps were finished by earlier claims."""
        self._done.update(list(self._weights)[:finished])

    def begun(self, name: str) -> None:
        """The step of this thread begins."""
        step = _AtWork(
            name,
            StepState.RUNNING,
            started_at=datetime.datetime.now(datetime.UTC),
            attempt=self._attempt,
        )
        step.began = time.monotonic()
        self._at_work[threads.current()] = step

    def show(self, bytes_done: int, bytes_total: int | None = None) -> None:
        """The step of this thread has so many bytes."""
        step = self._here()
        if step is not None:
            if step.found is None:
                step.found = bytes_done
            step.bytes_done = bytes_done
            step.bytes_total = step.bytes_total if bytes_total is None else bytes_total

    def moved(self) -> dict[str, int]:
        """The bytes of the step of this thread, for the event of its end."""
        step = self._here()
        return {} if step is None else _with_rate(step)

    def ended(self, *, done: bool) -> None:
        """The step of this thread ends."""
        step = self._at_work.pop(threads.current(), None)
        if step is not None and done:
            self._done.add(step.name)

    @property
    def percent(self) -> int:
        """How much of the task is done, 0 to 99."""
        whole = sum(self._weights.values())
        if whole > 0:
            at_work = list(self._at_work.values())
            part = sum(self._weights.get(name, 0) for name in self._done) + sum(
                self._weights.get(step.name, 0) * _share(step) for step in at_work
            )
            self._percent = max(self._percent, min(MOST, int(100 * part / whole)))
        return self._percent

    @property
    def is_long(self) -> bool:
        """Whether the run is under way for so long that somebody may look at it."""
        return time.monotonic() - self.begun_at >= SHORT

    def report(self, best: Progress) -> RunReport | None:
        """What the queue should know now, or None if it knows it or that can wait."""
        if not self.is_long:
            return None
        last, waited = self._reported, time.monotonic() - self.reported_at
        report = self._report(best)
        same = report.percent == last.percent and _names(report) == _names(last)
        if same and (waited < PERIOD or _bytes(report) == _bytes(last)):
            return None
        return self._noted(report)

    def now(self, best: Progress) -> RunReport:
        """What there is to report, in any case."""
        return self._noted(self._report(best))

    def _report(self, best: Progress) -> RunReport:
        return RunReport(
            best, self.percent, tuple(_frozen(step) for step in list(self._at_work.values()))
        )

    def _noted(self, report: RunReport) -> RunReport:
        self._reported, self.reported_at = report, time.monotonic()
        return report

    def _here(self) -> _AtWork | None:
        """The step of this thread; the only one, if a callback reports in another thread."""
        found = self._at_work.get(threads.current())
        if found is None and len(self._at_work) == 1:
            found = next(iter(list(self._at_work.values())), None)
        return found


def _share(step: StepReport) -> float:
    """How much of a step is done, 0 to 1."""
    if not step.bytes_total or not step.bytes_done:
        return 0.0
    return min(1.0, step.bytes_done / step.bytes_total)


def _with_rate(step: _AtWork) -> dict[str, int]:
    if step.bytes_done is None or step.found is None:
        return {}
    seconds = time.monotonic() - step.began
    known = {
        'bytes_done': step.bytes_done,
        'bytes_total': step.bytes_total,
        'rate': int((step.bytes_done - step.found) / max(seconds, 0.001)),
    }
    return {name: value for name, value in known.items() if value is not None and value >= 0}


def _frozen(step: _AtWork) -> StepReport:
    moved = _with_rate(step)
    return StepReport(
        step.name,
        step.state,
        started_at=step.started_at,
        attempt=step.attempt,
        bytes_done=moved.get('bytes_done'),
        bytes_total=moved.get('bytes_total'),
        rate=moved.get('rate'),
    )


def _names(report: RunReport) -> list[str]:
    return [step.name for step in report.at_work]


def _bytes(report: RunReport) -> list[int | None]:
    return [step.bytes_done for step in report.at_work]
