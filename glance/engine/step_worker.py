"""Does steps for conductors elsewhere: a runner in small.

An order names a lease and a step. Everything else comes from the queue and from the
logbook, and the fence guards whatever the step writes.
"""

import collections
import collections.abc
import concurrent.futures
import logging
import threading
import time
import typing

from oslo_context import context as oslo_context

from glance import threads
from glance.domain import errors
from glance.domain.entry import Claim, Held
from glance.domain.lease import DatabaseGone, Drop, HandBack, Lacking, Lease, LostLease
from glance.domain.remote_steps import (
    Announcement,
    Answer,
    Beat,
    Ending,
    Heard,
    Message,
    Order,
    Question,
)
from glance.engine import remote_results
from glance.engine.active_runs import ActiveRuns
from glance.engine.remote_steps import Link
from glance.engine.shared_runs import SharedRuns
from glance.engine.step_watch import StepWatch
from glance.engine.unheard_answers import UnheardAnswers
from glance.flows import step_calls
from glance.interfaces.flow import Flow
from glance.logbook import PersistentLogbook
from glance.threads import StandingThread

LOG = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between two beats, announcements and looks at the queue
STOP_TIMEOUT = 5.0  # seconds that steps get to notice that they should stop
LACKING_PAUSE = 2.0  # seconds without new orders, after this process lacked something for one
MOST_REMEMBERED = 10000  # orders that are recognised when they come again


class Claims(typing.Protocol):
    """What this module uses of glance.db.worker_claims.WorkerClaims."""

    def read(self, lease: Lease) -> Claim: ...
    def held(self, leases: collections.abc.Iterable[Lease]) -> list[Held]: ...
    def tell(self, lease: Lease) -> None: ...


class SharedLogbook(PersistentLogbook):
    """A logbook that several processes share."""

    def save_result(self, name: str, given: typing.Any) -> None:
        """Write a finished step that no engine ran in this process."""
        raise NotImplementedError


class Refused(Exception):
    """An order that this worker cannot or may not carry out."""


class StepWorker:
    """Carries out the orders that its link receives.

    logbook   logbook(claim, flow): the SharedLogbook of a run
    announce  announce(free, leaving): what this worker says of itself
    give_up   give_up(lease): notes in the queue that a run breaks the worker itself
    slots     how many orders it takes at the same time

    refused   how many orders were refused
    """

    def __init__(
        self,
        claims: Claims,
        flows: collections.abc.Mapping[str, Flow],
        runs: ActiveRuns,
        logbook: collections.abc.Callable[[Claim, Flow], SharedLogbook],
        announce: collections.abc.Callable[[int, bool], Announcement],
        give_up: collections.abc.Callable[[Lease], None],
        *,
        slots: int,
    ) -> None:
        self.refused = 0
        self._claims = claims
        self._flows = flows
        self._runs = runs
        self._logbook = logbook
        self._announce = announce
        self._give_up = give_up
        self._slots = slots
        self._lock = threading.RLock()
        self._orders: dict[str, Order] = {}  # at work, by sending
        self._known: collections.OrderedDict[str, None] = collections.OrderedDict()  # sendings
        self._unheard = UnheardAnswers()
        self._shared = SharedRuns(runs)
        self._watch = StepWatch(claims, runs, self._answer_stuck)
        self._changed = threading.Event()
        self._ended = threading.Event()
        self._leaving = self._stopped = False
        self._lacking_until = float('-inf')  # time.monotonic()
        self._pool: concurrent.futures.Executor = threads.pool(slots)
        self._link: Link
        self._thread: StandingThread | None = None

    @property
    def unheard(self) -> int:
        """How many answers no conductor has heard yet."""
        return len(self._unheard)

    def start(self, link: Link) -> None:
        """Take orders. The link delivers what it receives to receive()."""
        self._link = link
        self._thread = StandingThread('worker', self._watch_loop)
        self._thread.start()

    def stop(self, grace: float) -> None:
        """Take no more orders; after grace seconds, hand back those that are at work."""
        self._leaving = True
        self._changed.set()
        if not self._wait_until_idle(grace):
            for run in self._runs:
                run.stop = run.stop or HandBack()
                self._runs.wake(run)
            self._wait_until_idle(STOP_TIMEOUT)
        until = time.monotonic() + STOP_TIMEOUT
        while self._unheard and time.monotonic() < until:
            self._ended.clear()
            self._ended.wait(INTERVAL)
        self._stopped = True
        self._changed.set()
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT)
        if not self._orders:
            self._pool.shutdown(wait=False)

    def _wait_until_idle(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while self._orders and time.monotonic() < until:
            self._ended.clear()
            self._ended.wait(min(INTERVAL, max(0, until - time.monotonic())))
        return not self._orders

    # ------------------------------------------------------ the thread of the link

    def receive(self, message: Message) -> None:
        """Take a message of the link. Does not wait."""
        if isinstance(message, Order):
            self._take(message)
        elif isinstance(message, Heard):
            self._unheard.heard(message.sending)
            self._ended.set()
        elif isinstance(message, Question):
            self._changed.set()

    def _take(self, order: Order) -> None:
        with self._lock:
            if order.sending in self._known or order.sending in self._orders:
                return  # its conductor did not know whether it had arrived
            self._known[order.sending] = None
            while len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)
            full = self._leaving or len(self._orders) >= self._slots
            if not full:
                self._orders[order.sending] = order
        if full:
            self._answer(order, Ending.HANDED_BACK)
        else:
            self._pool.submit(self._carry_out, order)

    # ---------------------------------------------------------- the threads of steps

    def _carry_out(self, order: Order) -> None:
        oslo_context.RequestContext(resource_uuid=order.task_id, overwrite=True)
        ending = Ending.HANDED_BACK
        try:
            ending = self._ending_of(order)
        finally:
            # The answer first: a stop waits until there are neither orders nor unheard answers.
            self._answer(order, ending)
            with self._lock:
                del self._orders[order.sending]
            self._ended.set()

    def _ending_of(self, order: Order) -> Ending:
        try:
            self._do(order)
        except Refused as error:
            self.refused += 1
            LOG.warning(
                'Task %s: an order was refused: %s',
                order.task_id,
                error,
                extra={'action': 'order_refused'},
            )
            return Ending.REFUSED
        except DatabaseGone:
            self._watch.is_cut_off = True
            self._changed.set()
            return Ending.DATABASE_GONE
        except Drop as drop:
            if isinstance(drop, Lacking):
                self._lacking_until = time.monotonic() + LACKING_PAUSE
                self._changed.set()
            LOG.info(
                'Task %s: step %s was stopped: %s', order.task_id, order.step, type(drop).__name__
            )
            return Ending.HANDED_BACK
        except errors.GlanceError:  # step_calls.do() has recorded and logged it
            return Ending.FAILED
        except BaseException:
            LOG.exception(
                'Task %s: step %s broke this worker',
                order.task_id,
                order.step,
                extra={'action': 'run_broke'},
            )
            self._note_broken(order.of)
            return Ending.HANDED_BACK
        return Ending.DONE

    def _note_broken(self, lease: Lease) -> None:
        try:
            self._give_up(lease)
        except Exception:
            LOG.exception('Task %s: the failed attempt could not be counted', lease.task_id)

    def _do(self, order: Order) -> None:
        try:
            claim = self._claims.read(order.of)
        except LostLease:
            raise Refused(f'lease {order.lease} is not the present one') from None
        if not claim.sent.has(order.step, self._link.address, order.sending):
            raise Refused(f'step "{order.step}" was not sent to this worker, or not by this order')
        flow = self._flows.get(claim.type)
        step = remote_results.remote_step(flow, order.step)
        if flow is None or step is None or claim.flow_version != flow.version:
            raise Refused(
                f'this worker does not know step "{order.step}" of "{claim.type}", '
                f'version {claim.flow_version}'
            )
        logbook = self._logbook(claim, flow)
        results = logbook.results() or {}
        if order.step in results or not remote_results.is_next(flow, step, results):
            raise Refused(f'it is not the turn of step "{order.step}"')
        lost = remote_results.unusable(flow, results)
        if lost and not any(claim.sent.went_to(name, self._link.address) for name in lost):
            # Of an earlier claim. What this worker has staged in this one must not change.
            logbook.load(flow)  # deletes them, so that the next claim does them again
            raise HandBack
        values = claim.values | remote_results.provided(flow, results)
        with self._shared.begun(claim):
            try:
                given = step_calls.do(step, values)
                logbook.save_result(step.name, given)
            except (HandBack, Lacking):
                self._claims.tell(claim.lease)  # nothing that this process writes follows
                raise

    def _answer(self, order: Order, ending: Ending) -> None:
        answer = Answer(self._link.address, order.sending, ending)
        self._unheard.add(order, answer)
        self._link.send(order.reply_to, answer)

    def _answer_stuck(self, lease: Lease) -> None:
        """A cancelled run does not wait for a step that nothing can interrupt."""
        with self._lock:
            orders = [order for order in self._orders.values() if order.of == lease]
        for order in orders:
            self._answer(order, Ending.STUCK)

    # ----------------------------------------------------------------- its own thread

    def _watch_loop(self) -> None:
        looked_at = float('-inf')
        while not self._stopped:
            self._link.send_to_all(self._announce(self._free(), self._leaving))
            if time.monotonic() - looked_at >= INTERVAL / 2:
                looked_at = time.monotonic()
                self._beat()
                self._unheard.forget(self._watch.look(self._unheard.leases()))
            self._changed.wait(INTERVAL)
            self._changed.clear()
        # Without it, conductors would send orders until its silence is long enough.
        self._link.send_to_all(self._announce(0, True))

    def _free(self) -> int:
        """How many more orders this worker wants.

        One that cannot do what it gets gives it back at once, so that it always has the most
        free slots: without a word from it, all steps would come here, and none would be done.
        """
        unfit = self._watch.is_blocked or self._watch.is_cut_off
        if unfit or time.monotonic() < self._lacking_until:
            return 0
        return self._slots - len(self._orders)

    def _beat(self) -> None:
        """Tell each conductor what is at work for it, and what it has not heard yet."""
        at_work: dict[str, dict[str, int]] = collections.defaultdict(dict)
        with self._lock:
            orders = list(self._orders.values())
        for order in orders:
            at_work[order.reply_to][order.sending] = self._moved(order.of)
        for address, answer, is_due in self._unheard.next_beat():
            at_work[address].setdefault(answer.sending, -1)
            if is_due:
                self._link.send(address, answer)
        for address, sendings in at_work.items():
            self._link.send(address, Beat(self._link.address, sendings))

    def _moved(self, lease: Lease) -> int:
        try:
            run = self._runs.get(lease)
        except LostLease:
            return -1  # not begun yet
        return run.progress.bytes if run.at_work else -1
