"""What callers can do: the order of things, without HTTP and without SQL."""

import dataclasses

from glance.services.images import Images
from glance.services.tasks import Tasks


@dataclasses.dataclass(frozen=True)
class Services:
    tasks: Tasks
    images: Images
