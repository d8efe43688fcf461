"""A real glance-conductor in a process of its own."""

import re

from .conftest import Api


class Conductor(Api):
    """One glance-conductor, which is asked nothing. Its whole output is in log."""

    program = 'conductor'

    def await_ready(self):
        self.await_log('Running tasks as process')
        return self

    def begun(self):
        """The tasks that it began, each as often as it did."""
        return re.findall(r'Task (\S+) begun', self.log)
