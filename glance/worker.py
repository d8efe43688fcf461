"""Does steps for the conductors of other processes: what glance-worker is made of."""

from oslo_config import cfg

from glance import plugins
from glance.components import SharedComponents, fill_toolbox
from glance.db.logbook import SqlLogbook
from glance.db.worker_claims import WorkerClaims
from glance.domain.events import host_here
from glance.domain.lease import DatabaseGone, Lease, LostLease
from glance.domain.remote_steps import Announcement, Message, Sweep
from glance.engine.active_runs import ActiveRuns, most_at_a_time
from glance.engine.dead_holders import DeadHolderWatch
from glance.engine.lease_holders import LeaseHolder
from glance.engine.step_worker import StepWorker
from glance.engine.sweeper import Sweeper
from glance.folders import Folders
from glance.image_data import staging_area
from glance.image_data.staging import FolderStaging
from glance.messaging import configured
from glance.messaging.link import Link
from glance.stores.store_watch import StoreWatch

SWEEPER_STOP_TIMEOUT = 2.0  # seconds to wait for a sweep that is under way


class Worker:
    """Does steps in this process, and sweeps. It fills the toolbox of the steps."""

    def __init__(self, conf: cfg.ConfigOpts, folders: Folders, parts: SharedComponents) -> None:
        self.database = parts.database
        self._queue = parts.queue
        self._holder = LeaseHolder.register(folders.run)
        self._claims = WorkerClaims(parts.database, self._holder.name)
        self._dead_holders = DeadHolderWatch(parts.queue, self._holder)
        options = conf.taskflow_workers
        executor = conf.taskflow_executor
        runs = ActiveRuns(executor.max_workers)
        own_tools = plugins.own_tools(conf, parts.task_types.usable)
        broker = configured.broker(options)
        name = configured.process_name()
        version, deployment = configured.version(), parts.queue.deployment()
        staging = FolderStaging(
            str(folders.staging),
            self._holder.is_dead,
            self._holder.is_dead_here,
            origin=staging_area.origin_of(folders.staging),
        )
        stores = StoreWatch(parts.stores, folders.id_of_store)
        slots = most_at_a_time(executor.max_tasks)
        flows = {type_: parts.task_types.usable[type_].flow for type_ in own_tools}

        def announce(free: int, leaving: bool) -> Announcement:
            return Announcement(
                worker=broker.address(name),
                host=host_here(),
                area=staging.origin['area'],
                version=version,
                deployment=deployment,
                topics=list(options.topics),
                stores=stores.reachable(),
                slots=slots,
                free=free,
                leaving=leaving,
                types={type_: flow.version for type_, flow in flows.items()},
                folders=stores.folders(),
            )

        self.steps = StepWorker(
            self._claims,
            flows,
            runs,
            lambda claim, flow: SqlLogbook(parts.database, claim.lease, flow),
            announce,
            self._give_up,
            slots=slots,
        )
        self._sweeper = Sweeper(
            parts.images, parts.tasks, parts.stores, staging, self._may_use_staged
        )
        self._link = Link(broker, name, self._receive)
        fill_toolbox(conf, parts, staging, runs, own_tools)

    def _receive(self, message: Message) -> None:
        if isinstance(message, Sweep):
            self._sweeper.look_at(message.task_id)
        else:
            self.steps.receive(message)

    def _may_use_staged(self, lease: Lease) -> bool:
        try:
            return self._queue.outcome(lease)[0] is None
        except LostLease:
            return False
        except DatabaseGone:
            return True  # nobody knows now; the next sweep looks again

    def _give_up(self, lease: Lease) -> None:
        progress = self._claims.read(lease).best_progress
        self._queue.release(lease, progress, stalled=True)

    def start(self) -> None:
        self._dead_holders.start()
        self._sweeper.start()
        self._link.start()
        self.steps.start(self._link)

    def stop(self, grace: float) -> None:
        """Take no more steps; what does not end within grace seconds is handed back."""
        self._dead_holders.stop()
        self.steps.stop(grace)
        self._link.stop()
        self._sweeper.stop(SWEEPER_STOP_TIMEOUT)
        self._holder.release()
        self.database.close()
