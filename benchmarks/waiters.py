"""What do clients cost that wait for the ends of tasks, and how soon do they hear of them?

Each client waits for a task of its own, or several share one: GET /v2/tasks/{id}?wait=120.
The tasks are imports whose source holds back the end. First nothing happens for some
seconds, in which the processor time of the service is measured; then the source sends the
rest. The service runs the tasks itself, or leaves them to a glance-conductor.
"""

import http.client
import json
import selectors
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import harness

from glance.testing.source_server import Answer, SourceServer

QUESTION = __doc__.split('\n', 1)[0]
WAIT = 120  # seconds


class Clients:
    """Connections that have asked and wait."""

    def __init__(self, service, tasks):
        self._selector = selectors.DefaultSelector()
        self.heard = {}  # task id to the times at which answers came
        self.waited = []  # the header of each answer
        for task_id in tasks:
            client = socket.create_connection(('127.0.0.1', service.port))
            client.sendall(
                f'GET /v2/tasks/{task_id}?wait={WAIT} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'.encode()
            )
            self._selector.register(client, selectors.EVENT_READ, task_id)

    def take(self, seconds):
        """Read the answers that come within so many seconds. Returns how many clients are left."""
        until = time.monotonic() + seconds
        while self._selector.get_map() and (left := until - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                self.heard.setdefault(key.data, []).append(time.time())
                answer = http.client.HTTPResponse(key.fileobj)
                answer.begin()
                task = json.loads(answer.read())
                self.waited.append((answer.getheader('Glance-Waited'), task['status']))
                self._selector.unregister(key.fileobj)
                key.fileobj.close()
        return len(self._selector.get_map())


def post(service, url):
    connection = http.client.HTTPConnection('127.0.0.1', service.port)
    body = {
        'type': 'import',
        'input': {'import_from': url, 'import_from_format': 'raw', 'image_properties': {}},
    }
    connection.request('POST', '/v2/tasks', json.dumps(body), {'Content-Type': 'application/json'})
    task = json.loads(connection.getresponse().read())
    connection.close()
    return task['id']


def ends(service):
    """When each task has ended, in seconds since 1970."""
    with sqlite3.connect(service.state / 'state' / 'glance.sqlite') as connection:
        rows = connection.execute(
            'SELECT id, (julianday(updated_at) - 2440587.5) * 86400 FROM tasks '
            "WHERE status = 'success'"
        )
        return dict(rows.fetchall())


def one_run(clients, tasks, seconds, *, elsewhere):
    go_on = threading.Event()

    def pieces():
        yield b'a'
        go_on.wait(harness.PATIENCE)
        yield b'b'

    with SourceServer() as source:
        source.pages['/held'] = lambda _request: Answer(pieces(), announced=2)
        # Room for all to be under way at once: they wait for their source.
        options = {
            'task': {'conduct': str(not elsewhere).lower(), 'eventlet_executor_pool_size': tasks},
            'taskflow_executor': {'max_tasks': tasks, 'max_workers': tasks},
        }
        with harness.Service(options, source_port=source.port) as service:
            conductor = elsewhere and subprocess.Popen(
                [
                    *(sys.executable, '-W', 'ignore', '-m', 'glance.cmd.conductor'),
                    *('--config-file', service.config),
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                return _measure(service, source, clients, tasks, seconds, go_on)
            finally:
                go_on.set()
                if conductor:
                    conductor.send_signal(signal.SIGTERM)
                    conductor.wait(harness.PATIENCE)


def _measure(service, source, clients, tasks, seconds, go_on):
    ids = [post(service, f'{source.url}/held') for _ in range(tasks)]
    until = time.monotonic() + harness.PATIENCE
    while len(source.requests) < tasks:
        if time.monotonic() > until:
            raise SystemExit('Not all tasks were begun.')
        time.sleep(0.05)
    time.sleep(1)
    with harness.measured(service) as alone:
        time.sleep(seconds)
    waiting = Clients(service, [ids[number % tasks] for number in range(clients)])
    left = waiting.take(2)
    if left != clients:
        raise SystemExit(f'Of {clients} clients only {left} wait.')
    with harness.measured(service) as idle:
        left = waiting.take(seconds)
    with harness.measured(service) as answering:
        go_on.set()
        unheard = waiting.take(harness.PATIENCE)
    if unheard or left != clients:
        raise SystemExit('Not all clients were answered at the end of their tasks.')
    wrong = [status for _, status in waiting.waited if status != 'success']
    ended = ends(service)
    late = [at - ended[task_id] for task_id, times in waiting.heard.items() for at in times]
    return {
        'cpu_of_waiting_percent': round((idle['cpu_s'] - alone['cpu_s']) / seconds * 100, 2),
        'cpu_without_percent': round(alone['cpu_s'] / seconds * 100, 2),
        'others_cpu_percent': round(idle['others_cpu_s'] / seconds * 100, 1),
        'cpu_of_the_end_ms': {
            'service': round(answering['cpu_s'] * 1000),
            'clients': round(answering['harness_cpu_s'] * 1000),
        },
        'answered_after': {**harness.milliseconds(late), 'worst_ms': round(max(late) * 1000, 1)},
        'wrong': len(wrong),
    }


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument('--clients', type=int, default=500)
    parser.add_argument('--seconds', type=float, default=20, help='in which nothing happens')
    arguments = parser.parse_args(argv)
    clients, seconds = (20, 1.0) if arguments.tiny else (arguments.clients, arguments.seconds)
    results = {
        f'{clients} clients, {tasks} task(s), run {where}': one_run(
            clients, tasks, seconds, elsewhere=where == 'elsewhere'
        )
        for tasks in (1, 10)
        for where in ('in this process', 'elsewhere')
    }
    harness.report(arguments, QUESTION, {'clients': clients, 'seconds': seconds}, results)
    return int(any(run['wrong'] for run in results.values()))


if __name__ == '__main__':
    sys.exit(main())
