"""application, for a WSGI server with native threads (GLANCE_THREADS=green for one with green).

Configured as glance-api is: the usual files, or OS_GLANCE_CONFIG_DIR. What
must not live through a fork is made after it: by uWSGI's post-fork hook, by
application.start() in that of another server, else by the first request of
each process. From then on the process runs tasks as well, unless [task]
conduct is false, until application.stop(), which is called at its exit at the
latest.
"""

from glance import threads

threads.use(threads.NATIVE)  # before anything that knows sockets is imported

import logging
import os
import threading

from glance import bootstrap
from glance.api import app  # noqa: F401 - once, before a server that forks does
from glance.cmd import _start
from glance.domain import errors

LOG = logging.getLogger(__name__)

PROGRAM = 'glance-api'


class _Application:
    def __init__(self):
        self._lock = threading.Lock()
        self._process = None
        self._built = None
        self._stopped = False

    def __call__(self, environ, start_response):
        return self.start().api(environ, start_response)

    def start(self):
        """Build and start the service in this process, unless that was done; returns it."""
        if self._process != os.getpid():
            with self._lock:
                if self._process != os.getpid():
                    self._build()
        return self._built

    def _build(self):
        conf = _start.configure(PROGRAM, [])
        self._built = bootstrap.build(conf)
        self._built.start()
        self._process = os.getpid()
        self._stopped = False
        threading.Thread(target=self._stop_at_exit, name='stop-at-exit').start()
        LOG.info(
            'Tasks are run %s',
            'in this process' if conf.task.conduct else 'by glance-conductor, not here',
            extra={'action': 'started'},
        )

    def _stop_at_exit(self):
        """Wait for the end of the main thread; pools would not let atexit be reached."""
        threading.main_thread().join()
        self.stop()

    def stop(self):
        """Hand back what runs in this process, and close everything. May be called twice."""
        if self._process == os.getpid() and not self._stopped:
            self._stopped = True
            LOG.info('Stopping: what runs is handed back')
            self._built.stop(0)
            LOG.info('Stopped')


def _with_uwsgi(application):
    """Start after each fork of uWSGI, and hand back when it ends a worker.

    The module uwsgi exists inside of uWSGI only.
    """
    try:
        import uwsgi
    except ImportError:
        return
    if not {'enable-threads', 'threads'} & set(uwsgi.opt):
        raise errors.ConfigError('uWSGI must be told enable-threads = true: tasks run in threads.')

    earlier = getattr(uwsgi, 'post_fork_hook', None)

    def started():
        if earlier is not None:
            earlier()
        if uwsgi.worker_id():  # not in spoolers and mules
            application.start()

    uwsgi.post_fork_hook = started
    uwsgi.atexit = application.stop


application = _Application()
_with_uwsgi(application)
