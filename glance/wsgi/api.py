"""application, for a WSGI server with native threads (GLANCE_THREADS=green for one with green).

Configured as glance-api is: the usual files, or OS_GLANCE_CONFIG_DIR. What
must not live through a fork is made by the first request of each process, or
by application.start() in the server's post-fork hook; from then on the process
runs tasks as well.
"""

from glance import threads

threads.use(threads.NATIVE)  # before anything that knows sockets is imported

import atexit
import threading

from glance import bootstrap
from glance.cmd import _start


class _Application:
    def __init__(self):
        self._lock = threading.Lock()
        self._built = None

    def __call__(self, environ, start_response):
        return self.start().api(environ, start_response)

    def start(self):
        """Build and start the service in this process, unless that was done."""
        if self._built is None:
            with self._lock:
                if self._built is None:
                    built = bootstrap.build(_start.configure('glance-api', []))
                    built.start()
                    atexit.register(built.stop)
                    self._built = built
        return self._built


application = _Application()
