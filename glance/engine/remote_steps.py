"""The steps that this process has sent to workers, and what becomes of them.

Only the thread of the link and one thread of its own are at work here. Neither
waits, reads the database or touches an engine: they set futures, and the thread of
the engine finds out in the database what has happened.
"""

import collections
import logging
import math
import threading
import time
import typing

from glance.domain.lease import Drop, HandBack, Lease, LostLease, WorkerGaveUp, WorkerLost
from glance.domain.place import ANYWHERE, Place
from glance.domain.remote_steps import (
    Announcement,
    Answer,
    Beat,
    Ending,
    Heard,
    Message,
    Order,
    Question,
    Sweep,
)
from glance.engine.active_runs import ActiveRuns
from glance.engine.sending import RESEND_AFTER, Sending
from glance.engine.worker_directory import WorkerDirectory
from glance.threads import StandingThread

LOG = logging.getLogger(__name__)

TICK = 0.5  # seconds between two looks at silent workers and stopped runs
ECHO_LIMIT = 2.0  # seconds; with an older echo, the silence of others proves nothing
# With an echo as old as this, the broker is away. Afterwards, workers get RECONNECT_TIME to
# come back: an attempt to connect takes 5 s at most, and the pause before it 1 s.
AWAY_LIMIT = 4.0
RECONNECT_TIME = 7.0
BROKER_AWAY = 8.0  # seconds without an echo after which the broker is said to be away
TELL_AFTER = 1.0  # seconds that a step waits before the log says for what
MOST_IN_LINE = 16  # tasks that wait here while no worker that can be used has a free slot
MOST_AREAS = 10000  # tasks of which it is remembered where they have staged something


class Link(typing.Protocol):
    """What this module uses of glance.messaging.link.Link."""

    address: str

    def send(self, address: str, message: Message) -> None: ...
    def send_to_all(self, message: Message) -> None: ...
    def echo_age(self) -> float: ...


class RemoteSteps:
    """Sends steps to workers, and sets the futures of those that have ended.

    silence  seconds after which a worker that cannot be heard counts as lost, and a
             step that its worker does not know of, too

    ignored  how many answers were to nothing that this process still waits for
    """

    def __init__(self, runs: ActiveRuns, directory: WorkerDirectory, silence: float) -> None:
        self.ignored = 0
        self._runs = runs
        self._directory = directory
        self._silence = silence
        self._lock = threading.RLock()
        self._sendings: dict[str, Sending] = {}
        self._earlier: dict[Lease, str] = {}  # who did the step before
        # By task: the area of the last worker that got a step of it.
        self._areas: collections.OrderedDict[str, str] = collections.OrderedDict()
        self._gone: dict[str, Place] = {}  # by area: what steps have waited for there in vain
        self._said: set[str] = set()  # what the log has of missing workers
        self._wake = threading.Event()
        self._stopping = False
        self._outage_at = float('-inf')
        self._link: Link
        self._thread: StandingThread | None = None

    def start(self, link: Link) -> None:
        """Begin to send. The link delivers what it receives to receive()."""
        self._link = link
        self._thread = StandingThread('workers', self._watch_loop)
        self._thread.start()
        link.send_to_all(Question())

    def stop(self) -> None:
        """Drop all runs that still wait for a worker."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(TICK * 4)
        with self._lock:
            for sending in list(self._sendings.values()):
                self._end(sending, drop=HandBack())

    def submit(self, lease: Lease, step: str, place: Place = ANYWHERE) -> Sending:
        """Let a worker do a step; wait for one if none is free. Returns at once.

        The order is sent with send(). So the caller can note before which worker it is, in
        a thread that may wait for the database.

        If the host of the place is gone, and workers elsewhere could begin again, the future
        gets Ending.HOST_GONE.
        """
        sending = Sending(lease, step, place)
        with self._lock:
            self._sendings[sending.id] = sending
            if self._stopping:  # stop() has ended all others
                self._end(sending, drop=HandBack())
            else:
                self._assign(sending)
        return sending

    def send(self, sending: Sending) -> None:
        """Send the order to the chosen worker, if its answer is still awaited."""
        with self._lock:
            if sending.id in self._sendings and sending.worker is not None:
                sending.is_sent, sending.missed = True, 0.0
                self._send(sending, sending.worker)

    def withdraw(self, sending: Sending, drop: Drop) -> None:
        """End a sending that is not to be sent."""
        with self._lock:
            if sending.id in self._sendings:
                self._end(sending, drop=drop)

    def end_run(self, lease: Lease) -> None:
        """Forget what was known of a run."""
        with self._lock:
            self._earlier.pop(lease, None)

    def is_gone(self, area: str) -> bool:
        """Whether a step has waited in vain for a worker of this staging area."""
        with self._lock:
            return area in self._gone

    def sweep(self, task_id: str) -> None:
        """Let all workers remove what a task has staged that has ended."""
        self._link.send_to_all(Sweep(task_id))

    def room(self) -> float:
        """How many more tasks this process may claim; math.inf: any number.

        While workers have free slots, a step that waits needs one that is not there, and
        others need not wait behind it. Otherwise few tasks wait here. The rest wait in the
        queue, where other conductors can take them, and those of a higher priority come first.
        """
        with self._lock:
            if self._directory.has_room():
                return math.inf
            waiting = sum(one.worker is None for one in self._sendings.values())
        return max(0, MOST_IN_LINE - waiting)

    def missing(self) -> list[str]:
        """What steps wait for now: a sentence each."""
        if self._link.echo_age() > BROKER_AWAY:
            return [f'The message broker has not answered for {BROKER_AWAY:.0f} seconds or more']
        return [f'{what}; {count} steps wait' for what, count in self._missing(0).items()]

    def _missing(self, seconds: float) -> dict[str, int]:
        """What nobody has who can be heard, and how many steps have waited so long for it."""
        with self._lock:
            waiting = collections.Counter(
                self._directory.missing(one.place)
                for one in self._sendings.values()
                if one.worker is None and one.missed >= seconds
            )
        return {what: count for what, count in waiting.items() if what}

    # ------------------------------------------------------ the thread of the link

    def receive(self, message: Message) -> None:
        """Take a message of the link. Does not wait."""
        with self._lock:
            if isinstance(message, Announcement):
                self._directory.note(message)
                if self._directory.is_served(self._gone.get(message.area, ANYWHERE)):
                    self._gone.pop(message.area, None)
                self._assign_waiting()
            elif isinstance(message, Beat):
                self._take_beat(message)
            elif isinstance(message, Answer):
                self._take_answer(message)

    def _take_beat(self, beat: Beat) -> None:
        self._directory.heard(beat.worker)
        for sending_id, moved in beat.at_work.items():
            sending = self._sendings.get(sending_id)
            if sending is None or sending.worker != beat.worker:
                continue
            sending.missed, sending.repeat = 0.0, RESEND_AFTER
            self._note_progress(sending.lease, moved)

    def _note_progress(self, lease: Lease, moved: int) -> None:
        try:
            self._runs.progress(lease, moved if moved >= 0 else None)
        except (Drop, Exception):
            self._wake.set()  # the run is to stop

    def _take_answer(self, answer: Answer) -> None:
        self._directory.heard(answer.worker)
        self._link.send(answer.worker, Heard(answer.sending))
        sending = self._sendings.get(answer.sending)
        if sending is None or sending.worker != answer.worker:
            self.ignored += 1
            return
        self._earlier[sending.lease] = answer.worker
        self._end(sending, Ending(answer.ending))
        self._assign_waiting()

    # ----------------------------------------------------------------- its own thread

    def _watch_loop(self) -> None:
        looked_at = time.monotonic()
        while not self._stopping:
            self._wake.wait(TICK)
            self._wake.clear()
            now = time.monotonic()
            # A process that was stopped itself has heard nobody: that is not their silence.
            elapsed, looked_at = min(now - looked_at, 2 * TICK), now
            with self._lock:
                self._directory.note_folders()
                self._drop_stopped()
                if self._can_hear(now):
                    self._look_for_lost(elapsed)
                self._assign_waiting()
            self._tell_missing()

    def _can_hear(self, now: float) -> bool:
        """Whether a worker that lives would be heard."""
        age = self._link.echo_age()
        if age > AWAY_LIMIT:
            self._outage_at = now
        return age <= ECHO_LIMIT and now - self._outage_at > RECONNECT_TIME

    def _drop_stopped(self) -> None:
        """End the steps of runs that are to stop. Workers notice it by their lease."""
        for sending in list(self._sendings.values()):
            try:
                run = self._runs.get(sending.lease)
            except LostLease as lost:
                self._end(sending, drop=lost)
                continue
            if run.stop is not None:
                self._end(sending, drop=run.stop)
            elif sending.worker is None and run.cancelled:
                self._end(sending, Ending.REFUSED)
            elif sending.worker is None:
                run.progress_at = time.monotonic()  # to wait for a worker is not to hang

    def _look_for_lost(self, elapsed: float) -> None:
        lost = set(self._directory.elapse(elapsed))
        for address in lost:
            LOG.warning(
                'Worker %s has not been heard for %s seconds; it counts as lost',
                address,
                self._silence,
                extra={'action': 'worker_lost'},
            )
        for sending in list(self._sendings.values()):
            if sending.worker is None and self._directory.is_served(sending.place):
                sending.missed = 0.0
                continue
            sending.missed += elapsed
            if sending.worker is None:
                self._give_up_host(sending)
            elif not sending.is_sent:  # no worker has begun it, so that this is no death
                if sending.worker in lost:
                    self._end(sending, drop=WorkerGaveUp())
            elif sending.worker in lost or sending.missed > self._silence:
                self._end(sending, drop=WorkerLost(sending.worker))
            elif sending.missed > sending.repeat:
                sending.repeat += RESEND_AFTER
                self._send(sending, sending.worker)

    def _give_up_host(self, sending: Sending) -> None:
        """End a step that waits for a host which is gone, if others could begin again."""
        place = sending.place
        if (
            place.area is not None
            and sending.missed > self._silence
            and self._directory.is_served(place.anywhere())
        ):
            LOG.warning(
                'Task %s: no worker has %s any more; what was staged is fetched again elsewhere',
                sending.lease.task_id,
                place,
                extra={'action': 'host_gone'},
            )
            self._gone[place.area] = place
            self._end(sending, Ending.HOST_GONE)

    def _assign_waiting(self) -> None:
        full: set[Place] = set()
        for sending in list(self._sendings.values()):
            if sending.worker is None and sending.place not in full and not self._assign(sending):
                full.add(sending.place)

    def _assign(self, sending: Sending) -> bool:
        """Choose a worker for a step. Returns False if none at its place has a free slot."""
        lease = sending.lease
        worker = self._directory.choose(
            sending.place, self._earlier.get(lease), self._areas.get(lease.task_id)
        )
        if worker is None:
            return False
        sending.worker = worker
        sending.missed = 0.0
        self._directory.begin(worker)
        self._remember_area(lease.task_id, worker)
        sending.chosen.set()
        return True

    def _send(self, sending: Sending, worker: str) -> None:
        lease = sending.lease
        order = Order(lease.task_id, lease.number, sending.step, self._link.address, sending.id)
        self._link.send(worker, order)

    def _remember_area(self, task_id: str, worker: str) -> None:
        area = self._directory.area_of(worker)
        if area is not None:
            self._areas[task_id] = area
            self._areas.move_to_end(task_id)
            if len(self._areas) > MOST_AREAS:
                self._areas.popitem(last=False)

    def _tell_missing(self) -> None:
        """Log what is missing, once as long as it is missing."""
        missing = self._missing(TELL_AFTER)
        for what in missing.keys() - self._said:
            LOG.warning('%s; %s steps wait', what, missing[what], extra={'action': 'no_worker'})
        self._said = set(missing)

    def _end(
        self, sending: Sending, ending: Ending | None = None, drop: Drop | None = None
    ) -> None:
        del self._sendings[sending.id]
        if sending.worker is not None:
            self._directory.end(sending.worker)
        if drop is not None:
            sending.future.set_exception(drop)
        elif ending is not None:
            sending.future.set_result(ending)
        sending.chosen.set()
