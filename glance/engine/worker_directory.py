"""Which workers are there, and which of them may do a step for this process."""

import collections.abc
import dataclasses

from glance.domain.place import ANYWHERE, Place
from glance.domain.remote_steps import Announcement

MOST_SHOWN = 3  # hosts in one sentence


@dataclasses.dataclass
class KnownWorker:
    """A worker that has announced itself.

    busy    orders of this process that it works on
    silent  seconds without a message of it, of those in which messages came through
    """

    announced: Announcement
    busy: int = 0
    silent: float = 0.0

    @property
    def free(self) -> int:
        """How many more orders it can take, as far as this process knows."""
        # What it announces lags behind; what this process has sent it is known at once.
        return min(self.announced.free, self.announced.slots - self.busy)


class WorkerDirectory:
    """The workers that can be heard, by their address.

    version, deployment  what a worker must have in common with this process
    topics               a worker must serve one of these
    silence              seconds of silence after which a worker counts as lost

    look_at_folders      look_at_folders(): by store, the id of the folder that this process
                         sees. A worker with another one puts images where others do not find
                         them, so it is not used for the store. Must not wait
    """

    def __init__(
        self,
        version: str,
        deployment: str,
        topics: collections.abc.Collection[str],
        silence: float,
    ) -> None:
        self._version = version
        self._deployment = deployment
        self._topics = set(topics)
        self._silence = silence
        self._workers: dict[str, KnownWorker] = {}
        self._folders: dict[str, str] = {}
        self.look_at_folders: collections.abc.Callable[[], collections.abc.Mapping[str, str]]
        self.look_at_folders = dict

    def __len__(self) -> int:
        return len(self._workers)

    def note(self, announced: Announcement) -> None:
        """A worker has announced itself."""
        known = self._workers.setdefault(announced.worker, KnownWorker(announced))
        known.announced = announced
        known.silent = 0.0
        self._forget_if_gone(announced.worker)

    def heard(self, address: str) -> None:
        """A worker has sent something else."""
        if address in self._workers:
            self._workers[address].silent = 0.0

    def note_folders(self) -> None:
        """Look which folders this process sees. One that it does not see now stays known."""
        self._folders.update(self.look_at_folders())

    def elapse(self, seconds: float) -> list[str]:
        """Let these seconds of silence pass. Returns who is lost by now, and forgets them."""
        for known in self._workers.values():
            known.silent += seconds
        lost = [
            address for address, known in self._workers.items() if known.silent > self._silence
        ]
        for address in lost:
            del self._workers[address]
        return lost

    def choose(
        self, place: Place = ANYWHERE, earlier: str | None = None, area: str | None = None
    ) -> str | None:
        """The address of a worker for one more order; None if there is none with a free slot.

        place    what the worker must have
        earlier  the worker that did the step before: it has the staged bytes in its memory
        area     the staging area where an earlier claim may have staged something: a worker
                 there is preferred
        """
        free = {
            address: one
            for address, one in self._workers.items()
            if one.free > 0 and self._fits(one, place)
        }
        if earlier in free:
            return earlier
        return max(
            free,
            key=lambda address: (free[address].announced.area == area, free[address].free),
            default=None,
        )

    def area_of(self, address: str) -> str | None:
        """The staging area of a worker; None if it is not known."""
        known = self._workers.get(address)
        return None if known is None else known.announced.area

    def is_served(self, place: Place) -> bool:
        """Whether there is a worker for this place, busy or not."""
        return any(self._fits(one, place) for one in self._workers.values())

    def has_room(self) -> bool:
        """Whether a worker that can be used has a free slot."""
        return any(one.free > 0 and self._fits(one) for one in self._workers.values())

    def begin(self, address: str) -> None:
        """An order goes to a worker."""
        if address in self._workers:
            self._workers[address].busy += 1

    def end(self, address: str) -> None:
        """A worker works on one order less."""
        if address in self._workers:
            self._workers[address].busy -= 1
            self._forget_if_gone(address)

    def _forget_if_gone(self, address: str) -> None:
        """Forget a worker that leaves and has nothing to do for this process."""
        known = self._workers[address]
        if known.announced.leaving and known.busy <= 0:
            del self._workers[address]

    def missing(self, place: Place = ANYWHERE) -> str | None:
        """What keeps the steps for a place waiting; None if there is a worker for it."""
        if self.is_served(place):
            return None
        if not self._workers:
            return 'No worker has announced itself'
        usable = sum(self._fits(one) for one in self._workers.values())
        if not usable:
            return (
                f'None of the {len(self._workers)} workers that have announced themselves has '
                f'version {self._version}, deployment {self._deployment} and one of the topics '
                f'{", ".join(sorted(self._topics))}'
            )
        flow = Place(flow=place.flow)
        knowing = sum(self._fits(one, flow) for one in self._workers.values())
        if place.flow and not knowing:
            type_, version = place.flow
            return (
                f'None of the {usable} workers that can be used knows the task type "{type_}", '
                f'version {version}'
            )
        sentence = f'None of the {knowing} workers that can be used has {place}'
        hosts = {
            one.announced.host
            for one in self._workers.values()
            if self._fits(one, flow) and place.store in self.other_folders(one.announced)
        }
        return f'{sentence}{_with_another_folder(hosts)}'

    def obstacle(self, announced: Announcement) -> str | None:
        """Why a worker gets no orders of this process, in a few words; None if it may."""
        if announced.deployment != self._deployment:
            return f'another deployment than {self._deployment}'
        if announced.version != self._version:
            return f'another version than {self._version}'
        if self._topics.isdisjoint(announced.topics):
            return f'none of the topics {", ".join(sorted(self._topics))}'
        return 'it leaves' if announced.leaving else None

    def _fits(self, known: KnownWorker, place: Place = ANYWHERE) -> bool:
        announced = known.announced
        return (
            self.obstacle(announced) is None
            and place.area in (None, announced.area)
            and (place.store is None or place.store in announced.stores)
            and (place.flow is None or place.flow in announced.types.items())
            and not (place.store and place.store in self.other_folders(announced))
        )

    def other_folders(self, announced: Announcement) -> list[str]:
        """The stores of a worker whose folder is not the one that this process sees."""
        return [
            store
            for store in announced.stores
            if store in self._folders and self._folders[store] != announced.folders.get(store)
        ]


def _with_another_folder(hosts: collections.abc.Collection[str]) -> str:
    """What a sentence says of hosts that have another folder for its store."""
    if not hosts:
        return ''
    shown = ', '.join(sorted(hosts)[:MOST_SHOWN])
    if len(hosts) > MOST_SHOWN:
        shown += f' and {len(hosts) - MOST_SHOWN} more'
    return f' (host {shown}: another folder for it)'
