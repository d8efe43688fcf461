"""How soon does a good task end behind hundreds whose sources are silent or slow?

The tasks are posted one after another, in the default configuration, and then the good
one. Meanwhile a client asks for the list of images, one request after another. When all
tasks wait, the memory is measured; then the service is told to stop, with a second of grace.
The sources are in a process of their own.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time

import harness

QUESTION = __doc__.split('\n', 1)[0]
SOURCE = """
import sys, threading
from glance.testing.source_server import Answer, SourceServer
over = threading.Event()
def trickle():
    yield b'Z' * 1100
    while not over.wait(1):
        yield b'Z' * 1100
def silent(_request):
    over.wait()
    return Answer(b'')
with SourceServer() as source:
    source.pages['/silent'] = silent
    source.pages['/slow'] = lambda _: Answer(trickle(), announced=False)
    source.pages['/good'] = b'Z' * 1024
    print(source.port, flush=True)
    sys.stdin.read()
    over.set()
"""
WAYS = {
    'eventlet': {'task': {'task_executor': 'eventlet'}},
    'taskflow-serial': {'taskflow_executor': {'engine_mode': 'serial'}},
    'taskflow-parallel': {},
}


class Client:
    """Asks for a list again and again, and notes how long the answers took."""

    def __init__(self, service):
        self.took = []
        self._service = service
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._over.set()
        self._thread.join()

    def _ask(self):
        connection = http.client.HTTPConnection('127.0.0.1', self._service.port, timeout=60)
        while not self._over.wait(0.002):
            began = time.monotonic()
            connection.request('GET', '/v2/images')
            connection.getresponse().read()
            self.took.append(time.monotonic() - began)
        connection.close()


def one_run(way, kind, sources, attempts):
    source = subprocess.Popen(
        [sys.executable, '-W', 'ignore', '-c', SOURCE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    port = int(source.stdout.readline())
    options = {**WAYS[way]}
    options['DEFAULT'] = {'graceful_shutdown_timeout': 6}
    try:
        with harness.Service(options, source_port=port) as service:
            _ended(service, _post(service, port, 'good'))  # warm
            alone = _good(service, port)
            with Client(service) as client:
                for _ in range(sources):
                    _post(service, port, kind)
                good = [_good(service, port) for _ in range(attempts)]
            time.sleep(1)
            memory = harness.pss_mib(service.pid)
            threads = len(os.listdir(f'/proc/{service.pid}/task'))
            began = time.monotonic()
            service._process.send_signal(signal.SIGTERM)
            service._process.wait(harness.PATIENCE)
            stopped = time.monotonic() - began
            left = (service.state / 'log').read_text().count('did not stop in time')
    finally:
        source.stdin.close()
        source.wait()
    return {
        'good_alone_s': round(alone, 3),
        'good_s': [round(took, 3) for took in good],
        'GET': harness.milliseconds(client.took) | {'requests': len(client.took)},
        'pss_mib': round(memory, 1),
        'native_threads': threads,
        'stop_s': round(stopped, 2),
        'not_handed_back': left,
    }


def _good(service, port):
    """Seconds from the POST of a good task to its end."""
    began = time.monotonic()
    if _ended(service, _post(service, port, 'good')) != 'success':
        raise SystemExit('The good task failed.')
    return time.monotonic() - began


def _post(service, port, page):
    body = {
        'type': 'import',
        'input': {
            'import_from': f'http://127.0.0.1:{port}/{page}',
            'import_from_format': 'raw',
            'image_properties': {},
        },
    }
    return harness.call(service, 'POST', '/v2/tasks', json.dumps(body))['id']


def _ended(service, task_id):
    until = time.monotonic() + 600
    while time.monotonic() < until:
        status = harness.call(service, 'GET', f'/v2/tasks/{task_id}')['status']
        if status in ('success', 'failure'):
            return status
        time.sleep(0.01)
    raise SystemExit('The good task did not end within ten minutes.')


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument('--sources', type=int, default=200)
    parser.add_argument('--attempts', type=int, default=3, help='good tasks, one after another')
    parser.add_argument(
        '--kinds', nargs='+', choices=['silent', 'slow'], default=['silent', 'slow']
    )
    parser.add_argument('--ways', nargs='+', choices=list(WAYS), default=list(WAYS))
    arguments = parser.parse_args(argv)
    if arguments.tiny:
        arguments.sources, arguments.attempts, arguments.ways = 8, 1, ['taskflow-parallel']
    results = {
        f'{way}, {kind}': one_run(way, kind, arguments.sources, arguments.attempts)
        for way in arguments.ways
        for kind in arguments.kinds
    }
    harness.report(arguments, QUESTION, {'sources': arguments.sources}, results)
    return int(any(run['not_handed_back'] for run in results.values()))


if __name__ == '__main__':
    sys.exit(main())
