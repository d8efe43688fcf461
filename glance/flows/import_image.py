"""The import of an image: fetch a URL and make an image of it."""

from glance import toolbox
from glance.domain.leftover import Leftover
from glance.flows import calls, steps
from glance.interfaces import Flow

STEPS = (steps.CreateRecord(), steps.Fetch(), steps.Check(), steps.Store(), steps.Finish())


def discard(lease, work):
    """Remove all that an import owns: stored bytes, record, staged bytes."""
    values = work | {'lease': lease}
    for step in (steps.Store(), steps.CreateRecord()):
        calls.undo(step, values)
    tidy(lease)


def tidy(lease):
    """Remove what this claim and those before it staged."""
    staging = toolbox.current().staging
    calls.remove(
        lease,
        'what it staged could not be removed',
        lambda: staging.remove(lease, earlier=True),
        lambda: [Leftover('staging', staging.folder(lease, earlier=True))],
    )


def get_flow():
    return Flow(type='import', version=1, steps=STEPS, discard=discard, tidy=tidy)
