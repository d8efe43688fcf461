"""oslo.service's launchers, as glance-api needs them.

Ctrl-C is as graceful as SIGTERM, and the second one kills. SIGHUP reads the
configuration again without a moment in which another signal would end the
process, and a file that cannot be used changes nothing.
"""

import logging
import os
import signal
import struct
import time

import eventlet
from oslo_service import service

from glance import threads
from glance.cmd import _signals

LOG = logging.getLogger(__name__)

FAILED_STARTS = 3  # in a row, while no worker serves: then there is no sense in another one
UNPATCHED = threads.original('os')  # the patched read would wait for ever
_PID = struct.Struct('i')


class OneProcess(service.ServiceLauncher):
    """The service in this process."""

    def _fast_exit(self, *args):
        self._graceful_shutdown()

    def _reload_service(self, *args):
        if _signals.in_a_terminal():
            self._graceful_shutdown()
        elif _signals.reload(self.conf):
            self.services.restart()


class ManyProcesses(service.ProcessLauncher):
    """A parent that forks workers and replaces those that die.

    A worker writes its process id to announce_pipe when it serves. Start
    errors do not go on for ever: see FAILED_STARTS.
    """

    def __init__(self, conf):
        super().__init__(conf, restart_method='mutate')
        self.status = 0  # to exit with
        self._serving = set()
        self._failed = 0
        self._announced, self._announce = os.pipe()
        os.set_blocking(self._announced, False)

    def announce(self):
        """Say, in a worker, that it serves."""
        os.write(self._announce, _PID.pack(os.getpid()))

    # ----------------------------------------------------------- in the parent

    def _fast_exit(self, signo, frame):
        self._handle_term(signo, frame)

    def _handle_term(self, signo, frame):
        super()._handle_term(signo, frame)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for again in (signal.SIGINT, signal.SIGTERM):
            signal.signal(again, self._kill_all)

    def _kill_all(self, signo, frame):
        self._signal_children(signal.SIGKILL)
        signal.signal(signo, signal.SIG_DFL)
        os.kill(os.getpid(), signo)

    def _handle_hup(self, signo, frame):
        if _signals.in_a_terminal():
            self._handle_term(signo, frame)
        elif _signals.reload(self.conf):
            self._signal_children(signal.SIGHUP)

    def _wait_child(self):
        before = set(self.children)
        wrap = super()._wait_child()
        for pid in before - set(self.children):
            self._look_at_announcements()
            served = pid in self._serving
            self._serving.discard(pid)
            if self.running and served:
                LOG.error('Worker %s has died', pid, extra={'action': 'worker_died'})
            elif self.running:
                self._start_failed(pid)
        return wrap

    def _look_at_announcements(self):
        try:
            for (pid,) in _PID.iter_unpack(UNPATCHED.read(self._announced, 1024 * _PID.size)):
                self._serving.add(pid)
                self._failed = 0
        except BlockingIOError:
            pass

    def _start_failed(self, pid):
        self._failed += 1
        LOG.error('Worker %s could not start', pid, extra={'action': 'worker_failed'})
        if self._failed >= FAILED_STARTS and not self._serving:
            LOG.error('%s workers in a row could not start; no other is tried', self._failed)
            self.status = 1
            self._handle_term(signal.SIGTERM, None)

    def stop(self):
        """End the workers; kill those that graceful_shutdown_timeout does not suffice for."""
        signal.alarm(0)  # it would end this process and leave the workers
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

    def _signal_children(self, signo):
        for pid in list(self.children):
            try:
                os.kill(pid, signo)
            except ProcessLookupError:
                pass  # it will be waited for

    # ------------------------------------------------------------- in a worker

    def _child_process_handle_signal(self):
        super()._child_process_handle_signal()
        # Ctrl-C in a terminal reaches all: it is for the parent, which stops the others.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.signal_handler._signal_handlers.pop(signal.SIGHUP, None)
        self.signal_handler.add_handler('SIGHUP', self._reload_worker)

    def _reload_worker(self, signo, frame):
        if _signals.reload(self.conf):
            self.launcher.services.restart()
