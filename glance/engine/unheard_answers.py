"""The answers of a worker that their conductors have not heard yet."""

import collections.abc
import dataclasses
import threading

from glance.domain.lease import Lease
from glance.domain.remote_steps import Answer, Order

# An answer is sent with each of the first so many beats, and with every tenth one after
# that: nobody may be left to read it.
OFTEN = 10


@dataclasses.dataclass
class _Unheard:
    order: Order
    answer: Answer
    beats: int = 0


class UnheardAnswers:
    """Answers by their sending. They are sent again until they are heard, or of no use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unheard: dict[str, _Unheard] = {}

    def __len__(self) -> int:
        return len(self._unheard)

    def add(self, order: Order, answer: Answer) -> None:
        with self._lock:
            self._unheard[answer.sending] = _Unheard(order, answer)

    def heard(self, sending: str) -> None:
        with self._lock:
            self._unheard.pop(sending, None)

    def leases(self) -> set[Lease]:
        """The leases under which the answered steps were done."""
        with self._lock:
            return {one.order.of for one in self._unheard.values()}

    def forget(self, lost: collections.abc.Container[Lease]) -> None:
        """Nobody waits for the answers of lost leases: their conductor may be dead."""
        with self._lock:
            self._unheard = {
                sending: one for sending, one in self._unheard.items() if one.order.of not in lost
            }

    def next_beat(self) -> list[tuple[str, Answer, bool]]:
        """(address, answer, whether it is to be sent with this beat)."""
        with self._lock:
            unheard = list(self._unheard.values())
            for one in unheard:
                one.beats += 1
        return [
            (one.order.reply_to, one.answer, one.beats <= OFTEN or one.beats % OFTEN == 0)
            for one in unheard
        ]
