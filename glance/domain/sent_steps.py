"""Which worker is to do which step of a claim, as its conductor has noted it in the entry.

The conductor chooses a worker, notes the choice under the fence, and only then sends the
order. A worker carries out no order that is not noted for it. So a copy of an order does
nothing at another worker, nor does an order that somebody made up, and nobody but the
conductor decides whether a step is done by a worker at all. The note names the lease: the
next claim begins without one.
"""

import collections.abc
import dataclasses
import json
import typing

# By the name of the step: the address of the worker, and the id of the sending.
Choices = collections.abc.Mapping[str, tuple[str, str]]


@dataclasses.dataclass(frozen=True, slots=True)
class SentSteps:
    """The steps that were sent to workers under one lease."""

    choices: Choices = dataclasses.field(default_factory=dict)

    def plus(self, step: str, worker: str, sending: str) -> 'SentSteps':
        """The same, and one step more."""
        return SentSteps({**self.choices, step: (worker, sending)})

    def has(self, step: str, worker: str, sending: str) -> bool:
        """Whether this sending of a step was meant for this worker."""
        return self.choices.get(step) == (worker, sending)

    def went_to(self, step: str, worker: str) -> bool:
        """Whether this worker got a step."""
        return self.choices.get(step, ('', ''))[0] == worker

    def to_text(self, number: int) -> str:
        """For the entry. number is that of the lease."""
        return json.dumps({'lease': number, 'steps': self.choices}, separators=(',', ':'))

    @classmethod
    def from_text(cls, text: str | None, number: int) -> 'SentSteps':
        """What the entry has of this lease."""
        noted: dict[str, typing.Any] = json.loads(text) if text else {}
        if noted.get('lease') != number:
            return NOTHING_SENT
        return cls({step: (worker, sending) for step, (worker, sending) in noted['steps'].items()})


NOTHING_SENT = SentSteps()
