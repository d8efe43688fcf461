"""A real glance-conductor in a process of its own."""

import os
import pathlib
import re
import subprocess
import sys

from .conftest import Api

PROGRAM = str(pathlib.Path(sys.executable).parent / 'glance-conductor')


class Conductor(Api):
    """One glance-conductor, which is asked nothing. Its whole output is in log."""

    def __init__(self, config, log, **environment):
        self.log_path = log
        self._file = open(log, 'ab')  # noqa: SIM115 - closed in end()
        self._begins_at = self._file.tell()
        self.process = subprocess.Popen(
            [PROGRAM, '--config-file', str(config)],
            stdout=self._file,
            stderr=self._file,
            stdin=subprocess.DEVNULL,
            env=os.environ | environment,
            start_new_session=True,
        )

    def await_ready(self):
        self.await_log('Running tasks as process')
        return self

    def begun(self):
        """The tasks that it began, each as often as it did."""
        return re.findall(r'Task (\S+) begun', self.log)
