"""Runs one flow on a TaskFlow engine, trimmed for many small flows.

What is trimmed, by subclass and documented option, and why (figures per flow of
seven empty atoms; tests/unit/engine checks each against the TaskFlow in use):

* Progress of 0.0 and 1.0 is not stored: two writes per atom that nobody reads.
* The logbook does not copy its objects (glance/logbook.py).
* The storage has no lock. Only the thread of the engine may use it; any other
  thread gets an error. TaskFlow's reader-writer lock costs a tenth of the engine.
  It also lets several green workers in together, because all of them look like
  the main thread.
* A failed write is not tried again. TaskFlow tries three times with 5 s between;
  ours drops the run at once, and tenacity's thread-locals are slow in a green
  process.
* A single step at work is waited for directly, without a waiter that has to be
  registered with it and removed again.
* A flow is compiled once per process. All engines share the compilation, because
  atoms hold no state.

Together 8-10 ms of CPU become 2.
"""

import collections.abc
import concurrent.futures
import contextlib
import functools
import logging
import typing

from oslo_context import context as oslo_context
from oslo_utils import uuidutils
from taskflow import states, storage
from taskflow.engines.action_engine import compiler, engine, executor
from taskflow.persistence import models
from taskflow.utils import misc

from glance import threads
from glance.domain import own_lack
from glance.domain.entry import Claim
from glance.domain.lease import Drop, HandBack, Lacking, Lease
from glance.engine.active_runs import ActiveRuns
from glance.flows import atoms
from glance.interfaces.executor import FlowRunner, RunResult
from glance.interfaces.flow import Flow
from glance.logbook import Logbook

LOG = logging.getLogger(__name__)

MakeExecutor = collections.abc.Callable[[Flow, Claim, typing.Any], 'InlineTaskExecutor']

_OPTIONS = {'gather_statistics': False}


class EngineRunner(FlowRunner):
    """Runs flows on engines, one engine for each claim.

    runs     the ActiveRuns of the conductor, to stop the siblings of a dropped step
    pool     the pool in which the steps of all engines run (parallel mode), or None:
             each engine runs its steps in its own thread (serial mode)
    logbook  as TaskExecutor explains it; None if no run can be resumed
    executor_of  executor_of(flow, claim, logbook) makes what runs the steps of one run, in place
             of the pool; None: as pool says
    """

    def __init__(
        self,
        runs: ActiveRuns,
        pool: concurrent.futures.Executor | None = None,
        logbook: typing.Any = None,
        executor_of: 'MakeExecutor | None' = None,
    ) -> None:
        self._runs = runs
        self._executor_of = executor_of or self._stock_executor
        self._pool = pool
        nothing = Logbook()
        self._logbook = logbook or (lambda claim, flow: nothing)
        self._remove_logbook = getattr(logbook, 'remove', None)
        self._compilers: dict[str, compiler.PatternCompiler] = {}
        # By lease: logbook and FlowDetail, from can_resume() until run_flow().
        self._loaded: dict[Lease, tuple[Logbook, models.FlowDetail]] = {}

    def remove_logbook(self, lease: Lease) -> None:
        if self._remove_logbook is not None:
            self._remove_logbook(lease)

    def can_resume(self, flow: Flow, claim: Claim) -> bool:
        logbook = self._logbook(claim, flow)
        detail = logbook.load(flow)
        if detail is None:
            return False
        self._loaded[claim.lease] = logbook, detail
        self._runs.resume(claim.lease, len(detail))
        return True

    def run_flow(self, flow: Flow, claim: Claim) -> RunResult:
        loaded = self._loaded.pop(claim.lease, None)
        logbook, detail = loaded or (
            self._logbook(claim, flow),
            models.FlowDetail(flow.type, uuidutils.generate_uuid()),
        )
        one = self._engine(flow, logbook, detail, self._executor_of(flow, claim, logbook))
        if LOG.isEnabledFor(logging.DEBUG):
            _log_transitions(one, claim.lease.task_id)
        one.storage.inject(claim.values, transient=True)
        try:
            one.run()
        except Drop:
            self._stop_siblings(one, claim)
            raise
        except Exception as error:
            if one.storage.get_flow_state() == states.REVERTED:
                return RunResult.REVERTED
            if own_lack.is_one(error):
                self._stop_siblings(one, claim)
                raise Lacking(own_lack.sentence(error)) from error
            LOG.error(
                'Task %s: the engine failed with an unexpected error',
                claim.lease.task_id,
                exc_info=error,
                extra={'action': 'engine_broke'},
            )
            self._stop_siblings(one, claim)
            return RunResult.UNKNOWN
        return RunResult.SUCCEEDED

    def _stock_executor(
        self, _flow: Flow, _claim: Claim, _logbook: Logbook
    ) -> 'InlineTaskExecutor | PooledTaskExecutor':
        return InlineTaskExecutor() if self._pool is None else PooledTaskExecutor(self._pool)

    def _engine(
        self,
        flow: Flow,
        logbook: Logbook,
        detail: models.FlowDetail,
        task_executor: 'InlineTaskExecutor | PooledTaskExecutor',
    ) -> 'SharedEngine':
        shared = self._compilers.get(flow.type)
        if shared is None:
            shared = self._compilers[flow.type] = compiler.PatternCompiler(atoms.linear(flow))
            engine.ActionEngine._check_compilation(shared.compile())
        return SharedEngine(shared, detail, logbook, task_executor)

    def _stop_siblings(self, one: 'SharedEngine', claim: Claim) -> None:
        """Stop the other steps of a group and wait, so that no step of this run is at work."""
        run = self._runs.get(claim.lease)
        run.stop = run.stop or HandBack()
        one.task_executor.wait()


class SharedEngine(engine.ActionEngine):  # type: ignore[misc]
    """TaskFlow's engine over a compilation that other engines use as well."""

    def __init__(
        self,
        shared: compiler.PatternCompiler,
        detail: models.FlowDetail,
        backend: Logbook,
        task_executor: 'InlineTaskExecutor | PooledTaskExecutor',
    ) -> None:
        super().__init__(None, detail, backend, _OPTIONS)
        self._compiler = shared
        self._task_executor = task_executor

    @property
    def task_executor(self) -> 'InlineTaskExecutor | PooledTaskExecutor':
        return self._task_executor

    @misc.cachedproperty  # type: ignore[untyped-decorator]
    def storage(self) -> 'LeanStorage':
        return LeanStorage(
            self._flow_detail,
            backend=self._backend,
            scope_fetcher=lambda name: (
                self._runtime.fetch_scopes_for(name) if self._compiled else None
            ),
        )

    def compile(self) -> None:
        super().compile()
        # The runtime creates its builder at the first access, and then keeps it.
        builder = self._runtime.builder
        builder._waiter = functools.partial(_wait_for_any, builder._waiter)

    @staticmethod
    def _check_compilation(compilation: compiler.Compilation) -> compiler.Compilation:
        return compilation  # it was checked when it was made


class LeanStorage(storage.Storage):  # type: ignore[misc]
    """TaskFlow's storage without the writes that nobody reads."""

    def __init__(self, *args: typing.Any, **kwargs: typing.Any) -> None:
        super().__init__(*args, **kwargs)
        self._lock = SingleThreadLock()

    _save_atom_detail = storage.Storage._save_atom_detail.__wrapped__
    _save_flow_detail = storage.Storage._save_flow_detail.__wrapped__

    def set_task_progress(
        self, task_name: str, progress: float, details: typing.Any = None
    ) -> None:
        if details is None and progress in (0.0, 1.0):
            return
        super().set_task_progress(task_name, progress, details=details)


class SingleThreadLock:
    """Takes the place of a lock. Only the thread that created it may enter."""

    def __init__(self) -> None:
        self._holder = threads.current()

    def read_lock(self) -> typing.Self:
        return self

    write_lock = read_lock

    def __enter__(self) -> None:
        if threads.current() is not self._holder:
            raise RuntimeError('The storage of an engine belongs to its thread.')

    def __exit__(self, *_: object) -> None:
        pass


class InlineTaskExecutor(executor.SerialTaskExecutor):  # type: ignore[misc]
    """Runs atoms one after another in the thread of the engine."""

    def wait(self) -> None:
        """Return at once: no step runs outside the thread of the engine."""


class PooledTaskExecutor(executor.ParallelThreadTaskExecutor):  # type: ignore[misc]
    """Runs atoms in the shared pool, and can wait for those that are at work."""

    def __init__(self, pool: concurrent.futures.Executor) -> None:
        super().__init__(executor=pool)
        self._futures: list[concurrent.futures.Future[typing.Any]] = []

    def _submit_task(
        self,
        func: collections.abc.Callable[..., typing.Any],
        task: atoms.StepAtom,
        *args: typing.Any,
        **kwargs: typing.Any,
    ) -> concurrent.futures.Future[typing.Any]:
        # In whichever thread the step runs, its log lines carry the ids of its task.
        in_context = functools.partial(_in_context, oslo_context.get_current(), func)
        future: concurrent.futures.Future[typing.Any] = super()._submit_task(
            in_context, task, *args, **kwargs
        )
        self._futures.append(future)
        return future

    def wait(self) -> None:
        """Return when no submitted step is at work any more."""
        for future in self._futures:
            future.exception()


_Futures = collections.abc.Collection[concurrent.futures.Future[typing.Any]]


def _wait_for_any(
    stock: collections.abc.Callable[[_Futures, float | None], tuple[typing.Any, typing.Any]],
    running: _Futures,
    timeout: float | None = None,
) -> tuple[_Futures, _Futures]:
    """(done, not done) as TaskFlow's stock waiter has it, with a shortcut for one future."""
    if len(running) > 1:
        return stock(running, timeout)
    [alone] = running
    with contextlib.suppress(concurrent.futures.CancelledError):
        try:
            alone.exception(timeout)
        except TimeoutError:
            return set(), {alone}
    return {alone}, set()


def _in_context(
    current: oslo_context.RequestContext | None,
    func: collections.abc.Callable[..., typing.Any],
    *args: typing.Any,
    **kwargs: typing.Any,
) -> typing.Any:
    """Call func with the request context of another thread."""
    if current is not None:
        current.update_store()
    return func(*args, **kwargs)


def _log_transitions(one: SharedEngine, task_id: str) -> None:
    def flow_moved(state: str, details: dict[str, typing.Any]) -> None:
        LOG.debug(
            'Task %s: flow %s, %s -> %s',
            task_id,
            details['flow_name'],
            details['old_state'],
            state,
        )

    def atom_moved(state: str, details: dict[str, typing.Any]) -> None:
        LOG.debug(
            'Task %s: step %s, %s -> %s',
            task_id,
            details['task_name'],
            details['old_state'],
            state,
        )

    one.notifier.register('*', flow_moved)
    one.atom_notifier.register('*', atom_moved)
