"""The guide from serial to parallel to workers, run as doc/source/executors.rst has it.

Only its ports are other ones here, because several tests run at a time.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import textwrap
import urllib.request

import pytest

from tests import brokers

from .conftest import INT, PROGRAMS, ROOT, free_port, until

pytestmark = pytest.mark.once

PAGE = ROOT / 'doc' / 'source' / 'executors.rst'
TITLE = 'From one process to workers'


def blocks(language):
    """(caption or None, text) of each block of the guide in this language."""
    section = PAGE.read_text().split(f'{TITLE}\n{"-" * len(TITLE)}\n')[1].split('.. _workers:')[0]
    found = re.findall(
        rf'\.\. code-block:: {language}\n(?:   :caption: (\S+)\n)?\n((?:   .*\n|\n)+)', section
    )
    return [(caption or None, textwrap.dedent(text).strip() + '\n') for caption, text in found]


class Guide:
    """Its files and commands in a folder, where a reader would be."""

    def __init__(self, folder):
        self.folder = folder
        self._ports = {port: str(free_port()) for port in ('9292', '9001')}
        self._environment = os.environ | {
            'PATH': f'{PROGRAMS}:{os.environ["PATH"]}',
            'XDG_STATE_HOME': str(folder / 'state'),
        }
        self._begun = []
        for name, text in blocks('ini'):
            (folder / name).write_text(self._with_ports(text))

    def _with_ports(self, text):
        return re.sub('|'.join(self._ports), lambda found: self._ports[found[0]], text)

    def run(self, command):
        """What a command prints that ends by itself."""
        return subprocess.check_output(
            ['sh', '-c', self._with_ports(command)],
            cwd=self.folder,
            env=self._environment,
            text=True,
        )

    def start(self, command, ready):
        """Start a command that stays. Returns the process once its log says that it is ready."""
        log = self.folder / f'log-{len(self._begun)}'
        with open(log, 'w') as file:
            process = subprocess.Popen(
                shlex.split(self._with_ports(command)),
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        self._begun.append(process)
        if ready:
            until(lambda: ready in log.read_text() or process.poll() is not None, f'"{ready}"')
            assert process.poll() is None, log.read_text()
        return process

    def serve(self):
        """Start the source of the guide."""
        make, serve = blocks('sh')[0][1].splitlines()
        self.run(make)
        self.start(serve, None)
        url = self._with_ports('http://127.0.0.1:9001/')

        def answers():
            try:
                return urllib.request.urlopen(url).status == 200
            except OSError:
                return False

        until(answers, 'an answer of the source')

    def import_(self):
        """Import as the guide says. Returns the task when it has ended."""
        post, show = blocks('sh')[2][1].splitlines()
        task_id = json.loads(self.run(post))['id']

        def ended():
            [task] = json.loads(self.run(show))['tasks']
            return task['id'] == task_id and task['status'] in ('success', 'failure') and task

        return until(ended, 'the end of the task')

    def end(self):
        for process in self._begun:
            process.kill()
            process.wait()


@pytest.fixture
def guide(tmp_path, missing):
    if shutil.which('curl') is None:
        missing('There is no curl here.')
    guide = Guide(tmp_path)
    guide.serve()
    yield guide
    guide.end()


def test_serial_then_parallel_with_the_tasks_of_before(guide):
    for command, mode in ((blocks('sh')[number][1], mode) for number, mode in MODES):
        api = guide.start(command, f'Tasks are run by taskflow ({mode}), in 1 process(es)')
        assert guide.import_()['status'] == 'success'
        api.send_signal(INT)
        assert api.wait(60) == 0


MODES = ((1, 'serial'), (3, 'parallel'))


@pytest.mark.soak  # it needs a broker
def test_workers(guide, missing):
    brokers.import_kombu()
    brokers.address('redis', missing)
    commands = blocks('sh')[4][1].splitlines()
    guide.start(commands[0], 'Tasks are run by taskflow (worker-based), in 1 process(es)')
    workers = [guide.start(command, 'Doing steps as process') for command in commands[1:]]
    assert guide.import_()['status'] == 'success'
    heading, *lines = guide.run(blocks('sh')[5][1]).splitlines()
    assert heading.split()[0] == 'HOST'
    listed = [line.split()[1].split('.')[-2] for line in lines if line.endswith('  yes')]
    assert sorted(listed) == sorted(str(worker.pid) for worker in workers)
    workers[0].kill()
    assert guide.import_()['status'] == 'success'
