"""One run of a flow on a TaskFlow engine, trimmed, and what became of it.

What is trimmed, by subclass and documented option, and why (figures per flow
of seven empty atoms; tests/unit/engine holds each to the TaskFlow in use):

* no 0.0 and 1.0 progress is stored: two writes per atom that nobody reads
* no logbook copies (glance/logbook.py)
* the storage has no lock: only the thread of the engine uses it, and any other
  is refused. TaskFlow's reader-writer lock costs a tenth of the engine, and lets
  green workers in together, which all pass for the main thread
* a write is not wrapped into three tries of 5 s each: ours that fails drops the
  run at once, and tenacity's thread-locals are slow in a green process
* one step at work is waited for as such, without a waiter that is registered
  with it and taken away again
* the flow is compiled once per process, shared by all engines: atoms hold
  nothing
Together 8-10 ms of CPU become 2.
"""

import contextlib
import functools
import logging
from concurrent import futures

from oslo_context import context as oslo_context
from oslo_utils import uuidutils
from taskflow import states, storage
from taskflow.engines.action_engine import compiler, engine, executor
from taskflow.persistence import models
from taskflow.utils import misc

from glance import threads
from glance.domain.lease import Drop, HandBack
from glance.engine.conductor import Passage
from glance.flows import atoms
from glance.logbook import Logbook

LOG = logging.getLogger(__name__)

_OPTIONS = {'gather_statistics': False}


class FlowRunner:
    """Runs claims of tasks on engines.

    runs     the LiveRuns of the conductor, to stop the siblings of a dropped step
    pool     the one pool in which the steps of all engines run (parallel mode),
             or None: each engine runs its steps in its own thread (serial mode)
    logbook  logbook(claim, flow) -> Backend with recall(), and forget(lease) if what it
             keeps has to be removed (interfaces.TaskExecutor); None keeps nothing
    """

    def __init__(self, runs, pool=None, logbook=None):
        self._runs = runs
        self._pool = pool
        nothing = Logbook()
        self._logbook = logbook or (lambda claim, flow: nothing)
        self.forget = getattr(logbook, 'forget', lambda lease: None)
        self._compilers = {}
        self._recalled = {}  # lease to (logbook, FlowDetail), between recall() and run()

    def recall(self, flow, claim):
        """Whether run() can go on where an earlier claim ended."""
        logbook = self._logbook(claim, flow)
        detail = logbook.recall(flow)
        if detail is None:
            return False
        self._recalled[claim.lease] = logbook, detail
        self._runs.resume(claim.lease, len(detail))
        return True

    def run(self, flow, claim):
        """Run a flow for a claim; returns the Passage. Raises Drops."""
        logbook, detail = self._recalled.pop(claim.lease, None) or (
            self._logbook(claim, flow),
            models.FlowDetail(flow.type, uuidutils.generate_uuid()),
        )
        one = self._engine(flow, logbook, detail)
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
                return Passage.UNDONE
            LOG.error(
                'Task %s: its engine broke',
                claim.lease.task_id,
                exc_info=error,
                extra={'action': 'engine_broke'},
            )
            self._stop_siblings(one, claim)
            return Passage.BROKEN
        return Passage.DONE

    def _engine(self, flow, logbook, detail):
        shared = self._compilers.get(flow.type)
        if shared is None:
            shared = self._compilers[flow.type] = compiler.PatternCompiler(atoms.linear(flow))
            engine.ActionEngine._check_compilation(shared.compile())
        return SharedEngine(
            shared,
            detail,
            logbook,
            InlineTaskExecutor() if self._pool is None else PooledTaskExecutor(self._pool),
        )

    def _stop_siblings(self, one, claim):
        """Wait for steps of a group that still run, so that nothing of this run is at work."""
        run = self._runs.get(claim.lease)
        run.stop = run.stop or HandBack()
        one.task_executor.wait()


class SharedEngine(engine.ActionEngine):
    """TaskFlow's engine over a compilation that other engines use as well."""

    def __init__(self, shared, detail, backend, task_executor):
        super().__init__(None, detail, backend, _OPTIONS)
        self._compiler = shared
        self._task_executor = task_executor

    @property
    def task_executor(self):
        return self._task_executor

    @misc.cachedproperty
    def storage(self):
        return LeanStorage(
            self._flow_detail,
            backend=self._backend,
            scope_fetcher=lambda name: (
                self._runtime.fetch_scopes_for(name) if self._compiled else None
            ),
        )

    def compile(self):
        super().compile()
        # A property of the runtime that is made when it is first asked for.
        builder = self._runtime.builder
        builder._waiter = functools.partial(_wait_for_any, builder._waiter)

    @staticmethod
    def _check_compilation(compilation):
        return compilation  # checked once, when it was made


class LeanStorage(storage.Storage):
    """TaskFlow's storage without the writes that nobody reads."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._lock = OneThread()

    _save_atom_detail = storage.Storage._save_atom_detail.__wrapped__
    _save_flow_detail = storage.Storage._save_flow_detail.__wrapped__

    def set_task_progress(self, task_name, progress, details=None):
        if details is None and progress in (0.0, 1.0):
            return
        super().set_task_progress(task_name, progress, details=details)


class OneThread:
    """In place of a lock: lets the thread that made it in, and no other."""

    def __init__(self):
        self._owner = threads.current()

    def read_lock(self):
        return self

    write_lock = read_lock

    def __enter__(self):
        if threads.current() is not self._owner:
            raise RuntimeError('The storage of an engine belongs to its thread.')

    def __exit__(self, *_):
        pass


class InlineTaskExecutor(executor.SerialTaskExecutor):
    """Runs atoms one after another in the thread of the engine."""

    def wait(self):
        """Nothing is ever at work beside the engine."""


class PooledTaskExecutor(executor.ParallelThreadTaskExecutor):
    """Runs atoms in the shared pool and remembers which of them are at work."""

    def __init__(self, pool):
        super().__init__(executor=pool)
        self._futures = []

    def _submit_task(self, func, task, *args, **kwargs):
        # Log lines of the step carry the ids of its task, whichever thread it gets.
        in_context = functools.partial(_in_context, oslo_context.get_current(), func)
        future = super()._submit_task(in_context, task, *args, **kwargs)
        self._futures.append(future)
        return future

    def wait(self):
        """Return when nothing that was submitted is at work."""
        for future in self._futures:
            future.exception()


def _wait_for_any(usual, running, timeout=None):
    """(done, not done), as usual, but for one that is at work alone."""
    if len(running) > 1:
        return usual(running, timeout)
    [alone] = running
    with contextlib.suppress(futures.CancelledError):
        try:
            alone.exception(timeout)
        except TimeoutError:
            return set(), {alone}
    return {alone}, set()


def _in_context(current, func, *args, **kwargs):
    if current is not None:
        current.update_store()
    return func(*args, **kwargs)


def _log_transitions(one, task_id):
    def flow_moved(state, details):
        LOG.debug(
            'Task %s: flow %s, %s -> %s',
            task_id,
            details['flow_name'],
            details['old_state'],
            state,
        )

    def atom_moved(state, details):
        LOG.debug(
            'Task %s: step %s, %s -> %s',
            task_id,
            details['task_name'],
            details['old_state'],
            state,
        )

    one.notifier.register('*', flow_moved)
    one.atom_notifier.register('*', atom_moved)
