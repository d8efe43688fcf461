"""One step of a run on its way to a worker."""

import concurrent.futures
import dataclasses
import threading
import uuid

from glance.domain.lease import Lease
from glance.domain.place import Place
from glance.domain.remote_steps import Ending

# Seconds after which an order is sent again that its worker does not speak of. It is the same
# sending: a worker that has it already does nothing.
RESEND_AFTER = 1.5


@dataclasses.dataclass
class Sending:
    """A step that a worker is to do.

    future  how it has ended
    worker  its address, once there is one
    chosen  set when there is a worker, or when the sending has ended without one
    is_sent whether the order may be sent; until then, nobody knows of it
    missed  seconds in which this worker could be heard and did not name this step; before
            there is one, seconds in which nobody was at its place
    repeat  of these, when the order is sent again
    """

    lease: Lease
    step: str
    place: Place
    future: concurrent.futures.Future[Ending] = dataclasses.field(
        default_factory=concurrent.futures.Future
    )
    id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))
    worker: str | None = None
    chosen: threading.Event = dataclasses.field(default_factory=threading.Event)
    is_sent: bool = False
    missed: float = 0.0
    repeat: float = RESEND_AFTER
