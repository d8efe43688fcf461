"""glance-worker as a process, and what is said of all of them."""

import contextlib
import re
import subprocess
import sys

from .conftest import ROOT, Api


class Worker(Api):
    """One glance-worker, which is asked nothing. Its whole output is in log."""

    program = 'worker'

    def await_ready(self):
        self.await_log('Doing steps as process')
        return self

    def steps(self):
        return re.findall(r'Task (\S+): step (\S+) begins', self.log)


def worker_list(path):
    """What glance-manage worker list says: its lines without the headings, in words."""
    ended = subprocess.run(
        [
            *(sys.executable, '-P', '-m', 'glance.cmd.manage', 'worker', 'list'),
            *('--config-file', str(path)),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (ended.returncode, ended.stderr) == (0, '')
    return [line.split() for line in ended.stdout.splitlines()[1:]]


@contextlib.contextmanager
def begun_in(folder, nursery):
    """begin(configuration, kind=Worker, **options): a worker that takes orders.

    It has a configuration and a log of its own in the folder. All end with the block.
    """
    begun = []

    def begin(configuration, kind=Worker, **options):
        path = folder / f'worker-{len(begun)}.conf'
        path.write_text(configuration.read_text())
        log = folder / f'worker-{len(begun)}.log'
        begun.append(kind(path, log, nursery=nursery, **options))
        return begun[-1].await_ready()

    yield begin
    for worker in begun:
        worker.end()
