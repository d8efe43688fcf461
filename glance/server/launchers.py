"""oslo.service's launchers, changed to what glance-api needs.

Signals mean what server.signals says. A reload leaves no moment in which
another signal would end the process, and an unusable file changes nothing.
"""

import collections.abc
import logging
import os
import signal
import struct
import time
import types
import typing

import eventlet
from oslo_config import cfg
from oslo_service import service

from glance import threads
from glance.server import signals

LOG = logging.getLogger(__name__)

# After this many failed starts in a row, while no worker serves, no other worker is started.
FAILED_STARTS = 3
UNPATCHED = threads.original('os')  # eventlet's read would wait for ever
_PID = struct.Struct('i')


class OneProcess(service.ServiceLauncher):  # type: ignore[misc]
    """Runs the service in this process.

    reload  reads the configuration again; False if it stays as it was
    """

    def __init__(self, conf: cfg.ConfigOpts, reload: collections.abc.Callable[[], bool]) -> None:
        super().__init__(conf, restart_method='mutate')
        self._reload = reload

    def handle_signal(self) -> None:
        """Set the handlers. oslo.service calls this before it waits for signals."""
        self.signal_handler.clear()
        for number in signals.REQUESTS:
            self.signal_handler.add_handler(number.name, self._on_signal)

    def _on_signal(self, number: int, _frame: types.FrameType | None) -> None:
        if signals.request_of(number) is signals.Request.STOP:
            # No handlers from now on: another signal, or the alarm, ends the process at once.
            self.signal_handler.clear()
            signal.alarm(self.conf.graceful_shutdown_timeout)
            self.stop()
        elif self._reload():
            self.services.restart()


class ManyProcesses(service.ProcessLauncher):  # type: ignore[misc]
    """A parent process that forks workers, and replaces workers that die.

    A worker calls announce() when it serves; so the parent knows which workers
    failed to start, and gives up after FAILED_STARTS.

    reload  reads the configuration again; False if it stays as it was
    """

    def __init__(self, conf: cfg.ConfigOpts, reload: collections.abc.Callable[[], bool]) -> None:
        super().__init__(conf, restart_method='mutate')
        self._reload = reload
        self.status = 0  # the exit status of the parent
        self._serving: set[int] = set()
        self._failed = 0
        self._announced, self._announce = os.pipe()
        os.set_blocking(self._announced, False)
        # Holds one byte until a worker has said why it could not start.
        self._untold, self._tell = os.pipe()
        os.set_blocking(self._untold, False)
        os.write(self._tell, b'1')

    def first_to_fail(self) -> bool:
        """Whether no worker has said yet why workers cannot start. Called in a worker."""
        try:
            return bool(UNPATCHED.read(self._untold, 1))
        except BlockingIOError:
            return False

    def announce(self) -> None:
        """Tell the parent that this worker serves. Called in a worker."""
        os.write(self._announce, _PID.pack(os.getpid()))

    # ----------------------------------------------------------- in the parent

    def handle_signal(self) -> None:
        """Set the handlers of the parent. oslo.service calls this before it waits."""
        for number in signals.REQUESTS:
            self.signal_handler.add_handler(number.name, self._on_signal)

    def _on_signal(self, number: int, _frame: types.FrameType | None) -> None:
        if signals.request_of(number) is signals.Request.STOP:
            self._begin_to_stop(number)
        elif self._reload():
            self._signal_children(signal.SIGHUP)

    def _begin_to_stop(self, number: int) -> None:
        """Make wait() stop the workers; another signal kills them all."""
        self.sigcaught = number
        self.running = False
        self.signal_handler.clear()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for again in (signal.SIGINT, signal.SIGTERM):
            signal.signal(again, self._kill_all)

    def _kill_all(self, number: int, _frame: types.FrameType | None) -> None:
        self._signal_children(signal.SIGKILL)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _wait_child(self) -> typing.Any:
        """Look for one worker that has ended; oslo.service calls this and starts another."""
        before = set(self.children)
        wrap = super()._wait_child()
        for pid in before - set(self.children):
            self._read_announcements()
            served = pid in self._serving
            self._serving.discard(pid)
            if self.running and served:
                LOG.error('Worker %s has died', pid, extra={'action': 'worker_died'})
            elif self.running:
                self._start_failed(pid)
        return wrap

    def _read_announcements(self) -> None:
        try:
            for (pid,) in _PID.iter_unpack(UNPATCHED.read(self._announced, 1024 * _PID.size)):
                self._serving.add(pid)
                self._failed = 0
                self.first_to_fail()  # takes the byte, if it is there
                os.write(self._tell, b'1')  # what fails later has another reason
        except BlockingIOError:
            pass

    def _start_failed(self, pid: int) -> None:
        self._failed += 1
        LOG.error('Worker %s could not start', pid, extra={'action': 'worker_failed'})
        if self._failed >= FAILED_STARTS and not self._serving:
            LOG.error('%s workers in a row could not start; no other is tried', self._failed)
            self.status = 1
            self._begin_to_stop(signal.SIGTERM)

    def stop(self) -> None:
        """Stop the workers. Kill those that do not end within graceful_shutdown_timeout."""
        signal.alarm(0)  # oslo.service's alarm would end this process and leave the workers
        self.running = False
        timeout = self.conf.graceful_shutdown_timeout
        until = time.monotonic() + timeout if timeout else float('inf')
        self._signal_children(signal.SIGTERM)
        while self.children:
            if not self._wait_child():
                eventlet.sleep(self.wait_interval)
            if time.monotonic() > until:
                LOG.error('Workers that do not end in %s seconds are killed', timeout)
                self.status = 1
                self._signal_children(signal.SIGKILL)
                until = float('inf')

    def _signal_children(self, number: int) -> None:
        for pid in list(self.children):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass  # it has ended; _wait_child() will find it

    # ------------------------------------------------------------- in a worker

    def _child_process_handle_signal(self) -> None:
        """Set the handlers of a worker. oslo.service calls this after the fork."""
        self.signal_handler.clear()
        self.signal_handler.add_handler('SIGTERM', self._stop_worker)
        self.signal_handler.add_handler('SIGHUP', self._reload_worker)
        # Ctrl-C in a terminal reaches every process. The parent handles it, and stops the workers.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _stop_worker(self, _number: int, _frame: types.FrameType | None) -> None:
        self.signal_handler.clear()
        self.launcher.stop()

    def _reload_worker(self, _number: int, _frame: types.FrameType | None) -> None:
        if self._reload():
            self.launcher.services.restart()
