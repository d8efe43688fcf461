"""What the benchmarks share: a real service in its own process, and what it used.

Each script answers one question, runs the same load through each alternative
in turn, and prints JSON: question, machine, versions, settings, results.
"""

import argparse
import contextlib
import http.client
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

TICKS = os.sysconf('SC_CLK_TCK')
PATIENCE = 120  # seconds for the start and the end of a service
BROKERS = {  # transport to address
    'redis': os.environ.get('GLANCE_TEST_REDIS', 'redis://127.0.0.1:6379/0'),
    'amqp': os.environ.get('GLANCE_TEST_AMQP', 'amqp://guest:guest@127.0.0.1:5672//'),
}


def call(service, method, path, body=None):
    """The JSON of an answer of a service, over a connection of its own."""
    connection = http.client.HTTPConnection('127.0.0.1', service.port, timeout=60)
    try:
        connection.request(method, path, body, {'Content-Type': 'application/json'})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def parser(description):
    made = argparse.ArgumentParser(description=description)
    made.add_argument(
        '--tiny',
        action='store_true',
        help='a run of a second or two that only shows that the script works',
    )
    made.add_argument('--output', type=pathlib.Path, help='write the JSON here as well')
    return made


def report(arguments, question, settings, results):
    document = {
        'question': question,
        'machine': {
            'cores': os.cpu_count(),
            'python': platform.python_version(),
            'system': platform.platform(),
        },
        'versions': {
            name: importlib.metadata.version(name)
            for name in ('eventlet', 'futurist', 'taskflow', 'sqlalchemy', 'oslo.service')
        },
        'settings': settings,
        'results': results,
    }
    text = json.dumps(document, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + '\n')


def quantile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def milliseconds(values):
    return {
        'p50_ms': round(statistics.median(values) * 1000, 2),
        'p99_ms': round(quantile(values, 0.99) * 1000, 2),
    }


def stat(pid):
    """What the kernel says of a process behind its name: state, parent, ... see proc(5)."""
    return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()


def cpu_seconds(pid):
    """User and system time a process has used, its ended threads too."""
    return sum(map(int, stat(pid)[11:13])) / TICKS


def all_cpu_seconds():
    """User, nice and system time of everything on this machine."""
    fields = pathlib.Path('/proc/stat').read_text().split('\n', 1)[0].split()[1:4]
    return sum(map(int, fields)) / TICKS


def pss_mib(pid):
    for line in pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines():
        if line.startswith('Pss:'):
            return int(line.split()[1]) / 1024
    return None


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class Service:
    """glance-api in its own process on a temporary state folder."""

    def __init__(self, options, *, source_port, state=None):
        self.state = pathlib.Path(state or tempfile.mkdtemp(prefix='glance-benchmark-'))
        self.port = free_port()
        self.url = f'http://127.0.0.1:{self.port}'
        sections = {
            'DEFAULT': {'state_path': self.state / 'state', 'bind_port': self.port},
            'import_filtering_opts': {'allowed_hosts': '127.0.0.1', 'allowed_ports': source_port},
        }
        for name, values in options.items():
            sections.setdefault(name, {}).update(values)
        self.config = config = self.state / 'glance-api.conf'
        config.write_text(
            '\n'.join(
                f'[{name}]\n' + ''.join(f'{key} = {value}\n' for key, value in values.items())
                for name, values in sections.items()
            )
        )
        self._log = open(self.state / 'log', 'w')  # noqa: SIM115 - closed in stop()
        began = time.monotonic()
        self._process = _begin('api', config, self._log)
        self.pid = self._process.pid
        self._await_answer()
        self.ready_after = time.monotonic() - began

    def _await_answer(self):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise SystemExit(f'The service ended: {(self.state / "log").read_text()}')
            with contextlib.suppress(OSError, urllib.error.URLError):
                urllib.request.urlopen(f'{self.url}/healthcheck', timeout=5).close()
                return
            time.sleep(0.005)
        raise SystemExit(f'The service did not answer within {PATIENCE} seconds.')

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        shutil.rmtree(self.state, ignore_errors=True)


def _begin(program, config, log):
    command = ['-W', 'ignore', '-m', f'glance.cmd.{program}', '--config-file', config]
    return subprocess.Popen([sys.executable, *command], stderr=log, stdout=log)


@contextlib.contextmanager
def beside(service, program, ready, number=0):
    """Another program with the configuration of a service; yields its process id.

    program  its name behind glance-
    ready    what its log says when it has started
    number   of those with this name
    """
    log_path = service.state / f'{program}-{number}.log'
    with open(log_path, 'w') as log:
        process = _begin(program, service.config, log)
        try:
            until = time.monotonic() + PATIENCE
            while ready not in log_path.read_text():
                if process.poll() is not None or time.monotonic() > until:
                    raise SystemExit(f'glance-{program} did not start: {log_path.read_text()}')
                time.sleep(0.01)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


@contextlib.contextmanager
def measured(service, server_cpu=lambda: 0.0):
    """A dict that holds, after the block: wall and CPU seconds, PSS, and others' CPU.

    server_cpu  the CPU seconds of a database server, which are none of others
    """
    figures = {}
    began, cpu, everything = time.monotonic(), cpu_seconds(service.pid), all_cpu_seconds()
    own, server = time.process_time(), server_cpu()
    yield figures
    figures['wall_s'] = time.monotonic() - began
    figures['cpu_s'] = cpu_seconds(service.pid) - cpu
    figures['server_cpu_s'] = server_cpu() - server
    figures['harness_cpu_s'] = time.process_time() - own
    figures['others_cpu_s'] = (
        all_cpu_seconds()
        - everything
        - figures['cpu_s']
        - figures['server_cpu_s']
        - figures['harness_cpu_s']
    )
    figures['pss_mib'] = pss_mib(service.pid)


def touch_memory(folder, size):
    """Have as much of this machine's free memory used once, just now, as a load will write.

    On a virtual machine free memory may belong to the host: the first file that is
    written into it was measured at 2.5 s of system time for a GiB, the next one, of the
    memory that the first has left, at 0.3 s. So whatever is compared must begin alike.
    Half as much again, for not all of it is what the next one gets.
    """
    block = bytes(2**20)
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(size * 3 // 2 // len(block)):
            file.write(block)


class Asker:
    """Asks every 20 ms for all tasks in one list, however many clients wait for theirs."""

    INTERVAL = 0.02

    def __init__(self, service):
        self._service = service
        self._tasks = {}
        self._came = threading.Condition()
        self._over = False
        self._error = None
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over = True
        self._thread.join()

    def end_of(self, task_id):
        """The task, once it has ended."""
        with self._came:
            while self._tasks.get(task_id) not in ('success', 'failure'):
                if self._error is not None:
                    raise self._error
                self._came.wait(60)
            return self._tasks[task_id]

    def _ask(self):
        connection = http.client.HTTPConnection('127.0.0.1', self._service.port)
        try:
            while not self._over:
                time.sleep(self.INTERVAL)
                connection.request('GET', '/v2/tasks?limit=100')
                tasks = json.loads(connection.getresponse().read())['tasks']
                with self._came:
                    self._tasks = {task['id']: task['status'] for task in tasks}
                    self._came.notify_all()
        except BaseException as error:
            with self._came:
                self._error = error
                self._came.notify_all()
        finally:
            connection.close()


def in_threads(count, work):
    """Call work(number) in so many threads at once; raises what one of them raised."""
    errors = []

    def run(number):
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors:
        raise errors[0]
