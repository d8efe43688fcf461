"""Starts glance-api and glance-conductor for tests at a tenth of the cost, by a fork.

The process that forks has imported them.

    python -m tests.process.nursery FOLDER

Each line of its input is JSON: "number", "program", its "arguments", "log" (a
file that gets its output), "fail_point" (fail_points.py; may be empty). The
child is a process of its own in a session of its own, and runs what the program
runs: nothing but modules is there before the fork, as in glance-api's own
workers. At SIGUSR2 it writes the stacks of all its green threads to its log.
FOLDER/<number>.pid and .status say its id and how it ended. With the end of the
input all children are killed.
"""

from glance import threads

if __name__ == '__main__':
    threads.use(threads.GREEN)  # before anything that knows sockets is imported

import ctypes
import gc
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

os = threads.original('os')
select = threads.original('select')

ROOT = pathlib.Path(__file__).parents[2]
PR_SET_PDEATHSIG = 1


def main(folder):
    import glance.db.logbook  # noqa: F401 - what a glance-api imports while it works
    from glance import plugins
    from glance.cmd import api, conductor, worker  # noqa: F401

    from . import fail_points  # noqa: F401

    for name in ('eventlet', 'taskflow'):
        plugins.executor_class(name)
    plugins.task_types()
    import oslo_db.sqlalchemy.engines  # noqa: F401

    return _tend(pathlib.Path(folder))


def _tend(folder):
    """Fork what is asked for, and say how it ends."""
    ended, tell = os.pipe()
    os.set_blocking(ended, False)
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    numbers = {}
    while True:
        ready, _, _ = select.select([0, ended], [], [])
        if ended in ready:
            os.read(ended, 4096)
            _reap(folder, numbers)
        if 0 in ready:
            line = _line()
            if not line:
                break
            asked = json.loads(line)
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.close(ended)
                os.close(tell)
                return _become(asked)
            numbers[pid] = asked['number']
            _write(folder / f'{asked["number"]}.pid', pid)
    for pid in numbers:
        os.kill(pid, signal.SIGKILL)
    return 0


def _line():
    """The next line, no byte more: what follows belongs to the next look."""
    line = b''
    while not line.endswith(b'\n'):
        byte = os.read(0, 1)
        if not byte:
            break
        line += byte
    return line


def _reap(folder, numbers):
    while numbers:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            break
        _write(folder / f'{numbers.pop(pid)}.status', os.waitstatus_to_exitcode(status))


def _write(path, value):
    unnamed = path.with_suffix('.new')
    unnamed.write_text(str(value))
    unnamed.rename(path)


def _become(asked):
    """This process is the service from now on."""
    from eventlet import hubs

    from . import fail_points

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # it does not outlive the nursery
    os.setsid()
    log = os.open(asked['log'], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.close(nothing)
    signal.signal(signal.SIGUSR2, _write_stacks)
    # An import has made a hub. What one process registers in its epoll would wake all others
    # that were forked, for descriptors of the same numbers.
    hubs.use_hub()
    return fail_points.run(asked['fail_point'], asked['arguments'], asked['program'])


def _write_stacks(*_signal):
    """What each green thread waits for: to be read when a process does not go on."""
    import greenlet

    for one in gc.get_objects():
        # isinstance() would ask a weak reference for what it refers to, and that may be gone.
        if issubclass(type(one), greenlet.greenlet) and one.gr_frame is not None:
            lines = [f'Stack of {one}:\n', *traceback.format_stack(one.gr_frame)]
            os.write(2, ''.join(lines).encode())


class Nursery:
    """The parent of processes that are to start soon. They inherit its environment."""

    def __init__(self, **environment):
        self._folder = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [sys.executable, '-m', __name__, self._folder.name],
            stdin=subprocess.PIPE,
            cwd=ROOT,
            env=os.environ | environment,
        )
        self.pid = self._process.pid
        self._count = 0
        self._asking = threading.Lock()  # several threads may start processes

    def start(self, program, arguments, log, fail_point=''):
        """Returns a Child, once it has a process. program: 'api', 'conductor' or 'worker'."""
        with self._asking:
            self._count += 1
            number = self._count
            asked = {
                'number': number,
                'program': program,
                'arguments': [str(argument) for argument in arguments],
                'log': str(log),
                'fail_point': fail_point,
            }
            self._process.stdin.write(json.dumps(asked).encode() + b'\n')
            self._process.stdin.flush()
        return Child(pathlib.Path(self._folder.name) / str(number), self._process)

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()


class Child:
    """As much of subprocess.Popen as tests use, of a grandchild."""

    def __init__(self, path, parent):
        self._status = path.with_suffix('.status')
        self.returncode = None
        named = path.with_suffix('.pid')
        while not named.exists():
            assert parent.poll() is None, 'the nursery has ended'
            time.sleep(0.001)
        self.pid = int(named.read_text())

    def poll(self):
        if self.returncode is None and self._status.exists():
            self.returncode = int(self._status.read_text())
        return self.returncode

    def wait(self, timeout=30.0):
        until = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(str(self._status), timeout)
            time.sleep(0.002)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
