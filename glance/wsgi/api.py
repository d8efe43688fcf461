"""application, for a WSGI server with native threads (GLANCE_THREADS=green for one with green).

It reads the same configuration as glance-api: the usual files, or those in
OS_GLANCE_CONFIG_DIR. The service must be built after a fork. uWSGI's post-fork
hook does this; another server can call application.start() in its own hook.
Otherwise the first request of each process does it. From then on, the process
also runs tasks, unless [task] conduct is false. application.stop() ends that; it
is called at the exit of the process at the latest.
"""

from glance import threads

threads.use(threads.NATIVE)  # before anything that knows sockets is imported

import collections.abc
import logging
import os
import threading
import typing

from glance import bootstrap
from glance.api import app  # noqa: F401 - imported once, before the fork
from glance.api.errors import error_response
from glance.cmd import _start
from glance.domain import errors
from glance.server import heads
from glance.wsgi import requests, stopping

LOG = logging.getLogger(__name__)

PROGRAM = 'glance-api'


class _Application:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: int | None = None  # the process in which it was built
        self._built: bootstrap.Application
        self._stopped = False

    def __call__(
        self, environ: dict[str, typing.Any], start_response: typing.Any
    ) -> collections.abc.Iterable[bytes]:
        api = self.start().api
        try:
            requests.complete(environ)
        except heads.Refused as error:
            api = error_response(environ, 400, str(error))
        body: collections.abc.Iterable[bytes] = api(environ, start_response)
        return body

    def start(self) -> bootstrap.Application:
        """Build and start the service in this process at the first call; returns it."""
        if self._process != os.getpid():
            with self._lock:
                if self._process != os.getpid():
                    self._build()
        return self._built

    def _build(self) -> None:
        conf = _start.configure(PROGRAM, [], runs_tasks=lambda conf: bool(conf.task.conduct))
        self._built = bootstrap.build(conf, has_children=True)
        self._built.start()
        self._process = os.getpid()
        self._stopped = False
        stopping.on_sigterm(self._built.services.tasks.stop_waiting)
        threading.Thread(target=self._stop_at_exit, name='stop-at-exit').start()
        LOG.info(
            'Tasks are run %s',
            'in this process' if conf.task.conduct else 'by glance-conductor, not here',
            extra={'action': 'started'},
        )

    def _stop_at_exit(self) -> None:
        """Stop when the main thread ends: atexit would wait for the threads of pools."""
        threading.main_thread().join()
        self.stop()

    def stop(self) -> None:
        """Hand back the tasks of this process, and close everything. Can be called twice."""
        if self._process == os.getpid() and not self._stopped:
            self._stopped = True
            LOG.info('Stopping: running tasks are handed back')
            self._built.stop(0)
            LOG.info('Stopped')


def _with_uwsgi(application: _Application) -> None:
    """Start after each fork of uWSGI, and hand tasks back when uWSGI ends a worker.

    The module uwsgi can be imported only inside uWSGI.
    """
    try:
        import uwsgi
    except ImportError:
        return
    if not {'enable-threads', 'threads'} & set(uwsgi.opt):
        raise errors.ConfigError('uWSGI needs enable-threads = true: tasks run in threads.')

    earlier = getattr(uwsgi, 'post_fork_hook', None)

    def started() -> None:
        if earlier is not None:
            earlier()
        if uwsgi.worker_id():  # 0 in spoolers and mules
            application.start()

    uwsgi.post_fork_hook = started
    uwsgi.atexit = application.stop


application = _Application()
_with_uwsgi(application)
