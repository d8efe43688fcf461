"""A page whose second half waits until a test lets it go on."""

import threading

from glance.testing.source_server import Answer


class HeldPage:
    """Sends a half of its content, and the rest when go_on is set.

    asked  is released by each request that has got its first half
    """

    def __init__(self, content):
        self._content = content
        self.asked = threading.Semaphore(0)
        self.go_on = threading.Event()

    def __call__(self, _request):
        return Answer(self._pieces(), announced=len(self._content))

    def _pieces(self):
        half = len(self._content) // 2
        yield self._content[:half]
        self.asked.release()
        self.go_on.wait()
        yield self._content[half:]
