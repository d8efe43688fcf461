"""How long after a cancel has a running import of 4 GiB ended, with nothing left of it?

Each run posts an import of a source that this script serves on the loopback, waits
until so many bytes are staged, cancels the task over HTTP, and asks for it until it
has ended. The points at which the runs are cancelled go from 1 MiB to a part of the size
(--last), by equal factors. A run counts as over when the task has ended and no file of it is
left.
"""

import contextlib
import http.client
import json
import pathlib
import sys
import time

import harness

from glance.testing.source_server import Answer, SourceServer

QUESTION = __doc__.split('\n', 1)[0]
WAYS = {'eventlet': {'task': {'task_executor': 'eventlet'}}, 'taskflow': {}}
PIECE = bytes(range(256)) * 1024
FIRST = 2**20  # bytes staged at the first cancel
PATIENCE = 600  # seconds for one run


def page(size):
    def pieces():
        for _ in range(size // len(PIECE)):
            yield PIECE

    return lambda _request: Answer(pieces(), announced=size)


def points(last, runs):
    """How many bytes are staged when each run is cancelled; last: at the last one."""
    factor = (last / FIRST) ** (1 / max(1, runs - 1))
    return [int(FIRST * factor**run) for run in range(runs)]


def below(folder):
    return [path for path in folder.rglob('*') if path.name != '.deployment']


def staged(service):
    found = 0
    for path in below(service.state / 'state' / 'staging'):
        with contextlib.suppress(FileNotFoundError):
            found += path.stat().st_size if path.is_file() else 0
    return found


def is_clean(service):
    return not any(below(service.state / 'state' / name) for name in ('staging', 'images'))


class Client:
    def __init__(self, service):
        self._connection = http.client.HTTPConnection('127.0.0.1', service.port, timeout=PATIENCE)

    def call(self, method, path, body=None):
        headers = {'Content-Type': 'application/json'} if body else {}
        self._connection.request(method, path, body and json.dumps(body), headers)
        answer = json.loads(self._connection.getresponse().read())
        if 'status' not in answer:
            raise SystemExit(answer)
        return answer


def await_true(true):
    until = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > until:
            raise SystemExit(f'A run was not over after {PATIENCE} seconds.')
        time.sleep(0.005)


def one_run(service, url, point):
    """Seconds from the cancel to the end of the task, and until nothing of it was left."""
    wanted = {'import_from': url, 'import_from_format': 'raw', 'image_properties': {}}
    task = Client(service).call('POST', '/v2/tasks', {'type': 'import', 'input': wanted})
    await_true(lambda: staged(service) >= point)
    client = Client(service)  # by now the service has closed an idle connection
    began = time.monotonic()
    client.call('POST', f'/v2/tasks/{task["id"]}/cancel', {'reason': 'measured'})

    def has_ended():
        nonlocal task
        task = client.call('GET', f'/v2/tasks/{task["id"]}')
        return task['status'] in ('success', 'failure')

    await_true(has_ended)
    ended = time.monotonic() - began
    if not task.get('cancelled'):
        raise SystemExit(f'A task was not cancelled: {task}')
    await_true(lambda: is_clean(service))
    return ended, time.monotonic() - began


def seconds(values):
    return {
        'median_s': round(harness.quantile(values, 0.5), 3),
        'p99_s': round(harness.quantile(values, 0.99), 3),
        'most_s': round(max(values), 3),
    }


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument('--mib', type=int, default=4096)
    parser.add_argument('--runs', type=int, default=50)
    parser.add_argument('--last', type=float, default=0.9, help='part of the size')
    parser.add_argument('--ways', nargs='+', choices=list(WAYS), default=list(WAYS))
    parser.add_argument('--folder', type=pathlib.Path, help='where the service has its files')
    arguments = parser.parse_args(argv)
    if arguments.tiny:
        arguments.mib, arguments.runs = 256, 2
    size = arguments.mib * 2**20
    results = {}
    with SourceServer() as source:
        source.pages['/large'] = page(size)
        for way in arguments.ways:
            state = arguments.folder and arguments.folder / way
            if state:
                state.mkdir(parents=True)
            with harness.Service(WAYS[way], source_port=source.port, state=state) as service:
                runs = [
                    one_run(service, f'{source.url}/large', point)
                    for point in points(size * arguments.last, arguments.runs)
                ]
            ended, clean = zip(*runs, strict=True)
            results[way] = {'ended': seconds(ended), 'nothing_left': seconds(clean)}
    settings = {
        'mib': arguments.mib,
        'runs': arguments.runs,
        'last': arguments.last,
        'database': 'sqlite',
    }
    harness.report(arguments, QUESTION, settings, results)
    return 0


if __name__ == '__main__':
    sys.exit(main())
