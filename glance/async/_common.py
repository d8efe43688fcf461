"""What both executors are: a conductor, plus a way to run one claimed task."""

from glance import interfaces
from glance.engine.conductor import Conductor


class ConductedExecutor(interfaces.TaskExecutor):
    """An executor whose tasks a conductor claims.

    A subclass says how many at a time (slots) and how one is run (run_flow).
    """

    def __init__(self, conf, queue, flows, owner, logbook=None):
        self._conductor = Conductor(
            queue,
            flows,
            owner,
            run=self.run_flow,
            recall=self.recall,
            forget=self.forget,
            slots=self.slots(conf),
            lease_time=conf.task.lease_time,
            poll_interval=conf.task.poll_interval,
            max_attempts=conf.task.max_attempts,
            stall_timeout=conf.task.stall_timeout,
            workers=self.workers(conf),
        )
        conf.register_mutate_hook(self._adjust)

    def _adjust(self, conf, _changed):
        """Take over the options that may change while tasks run."""
        self._conductor.adjust(
            poll_interval=conf.task.poll_interval,
            max_attempts=conf.task.max_attempts,
            stall_timeout=conf.task.stall_timeout,
        )

    def slots(self, conf):
        """How many tasks may be under way in this process."""
        raise NotImplementedError

    def workers(self, conf):
        """How many threads the steps of all tasks share; None if each task has its own."""

    def run_flow(self, flow, claim):
        """Run a flow for a claim; returns its Passage, raises Drops."""
        raise NotImplementedError

    def recall(self, flow, claim):
        """Whether run_flow() can go on where an earlier claim ended."""
        return False

    def forget(self, lease):
        """Forget what recall() could find, where it is not in the queue's own database."""

    @property
    def runs(self):
        return self._conductor.runs

    def start(self):
        self._conductor.start()

    def submit(self, task_id):
        self._conductor.wake()

    def cancel(self, task_id):
        self._conductor.look()

    def stop(self, grace):
        self._conductor.stop(grace)
