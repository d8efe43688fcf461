"""Steps as TaskFlow's atoms, and a flow of ours as one of its patterns."""

from taskflow import task
from taskflow.patterns import linear_flow, unordered_flow

from glance.flows import calls
from glance.interfaces import Group


class StepAtom(task.Task):
    """A step as TaskFlow runs it. Its name is the step's: its identity on resumption.

    It holds nothing but the step, which holds nothing: all engines of a
    process share it. So nothing may listen to the atom itself: every engine
    would hear of every other's. Steps report their progress to Runs.
    """

    TASK_EVENTS = ()

    def update_progress(self, progress):
        """Tell nobody."""

    def __init__(self, step):
        super().__init__(
            name=step.name,
            provides=step.gives,
            requires={'lease', *calls.needs(type(step).do)},
            revert_requires={'lease', *calls.needs(type(step).undo)},
            auto_extract=False,
        )
        self._step = step

    def execute(self, **values):
        return calls.do(self._step, values)

    def revert(self, result, flow_failures, **values):
        calls.undo(self._step, values)


def linear(flow):
    """The steps of a flow one after another, those of a group in any order."""
    pattern = linear_flow.Flow(flow.type)
    for number, item in enumerate(flow.steps):
        if isinstance(item, Group):
            together = unordered_flow.Flow(f'{flow.type}-{number}')
            together.add(*(StepAtom(step) for step in item))
            pattern.add(together)
        else:
            pattern.add(StepAtom(item))
    return pattern
