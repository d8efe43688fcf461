"""How fast is one import of 1 GiB, beside curl, md5sum, sha512sum and a file?

Each round runs the shell pipeline (curl | tee >(md5sum) >(sha512sum) > file;
sync file) and then one import with each executor; the source is the same file,
served by this script on the loopback. Ratios are of the same round. During the
import, and before it, GET /v2/images is asked for one after another.
"""

import http.client
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import harness

from glance.testing.source_server import SourceServer

QUESTION = __doc__.split('\n', 1)[0]
WAYS = {'eventlet': {'task': {'task_executor': 'eventlet'}}, 'taskflow': {}}
PIPELINE = (
    'curl -s "$0" | tee >(md5sum >/dev/null) >(sha512sum >/dev/null) > "$1"; wait; sync "$1"'
)
IDLE = 3.0  # seconds of asking before the import


def make_file(path, size):
    block = bytes(range(256)) * 4096
    with open(path, 'wb') as file:
        for _ in range(size // len(block)):
            file.write(block)
        file.write(block[: size % len(block)])


def pipeline(url, folder, size):
    harness.touch_memory(folder, size)
    began = time.monotonic()
    subprocess.run(['bash', '-c', PIPELINE, url, str(folder / 'piped')], check=True)
    took = time.monotonic() - began
    (folder / 'piped').unlink()
    return took


class SourceRequest:
    """GETs one after another, and the largest memory, until it is stopped."""

    def __init__(self, service):
        self.took = []
        self.most_pss = 0
        self._service = service
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _ask(self):
        connection = http.client.HTTPConnection('127.0.0.1', self._service.port)
        while not self._stop.wait(0.01):
            began = time.perf_counter()
            connection.request('GET', '/v2/images')
            connection.getresponse().read()
            self.took.append(time.perf_counter() - began)
            if len(self.took) % 10 == 0:
                self.most_pss = max(self.most_pss, harness.pss_mib(self._service.pid))
        connection.close()


def one_round(options, source, size, state):
    """One import by a service with these options: a dict of figures."""
    with harness.Service(options, source_port=source.port, state=state) as service:
        with SourceRequest(service) as idle:
            time.sleep(IDLE)
        harness.touch_memory(state, size)
        with harness.measured(service) as figures, SourceRequest(service) as busy:
            task = import_one(service, f'{source.url}/large')
        if task['status'] != 'success':
            raise SystemExit(task['message'])
    return {
        'wall_s': round(figures['wall_s'], 2),
        'mb_per_s': round(size / figures['wall_s'] / 1e6),
        'cpu_s_per_gib': round(figures['cpu_s'] / (size / 2**30), 2),
        'peak_pss_mib': round(busy.most_pss, 1),
        'get_idle': harness.milliseconds(idle.took),
        'get_busy': harness.milliseconds(busy.took),
        'others_cpu_s': round(figures['others_cpu_s'], 2),
    }


def wanted(url):
    """The body of a POST."""
    return json.dumps(
        {
            'type': 'import',
            'input': {
                'import_from': url,
                'import_from_format': 'raw',
                'image_properties': {'name': 'large'},
            },
        }
    )


def import_one(service, url):
    connection = http.client.HTTPConnection('127.0.0.1', service.port)
    connection.request('POST', '/v2/tasks', wanted(url), {'Content-Type': 'application/json'})
    task = json.loads(connection.getresponse().read())
    while task['status'] in ('pending', 'processing'):
        time.sleep(0.02)
        connection.request('GET', f'/v2/tasks/{task["id"]}')
        task = json.loads(connection.getresponse().read())
    connection.close()
    return task


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument('--mib', type=int, default=1024)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--ways', nargs='+', choices=list(WAYS), default=list(WAYS))
    arguments = parser.parse_args(argv)
    if arguments.tiny:
        arguments.mib, arguments.rounds = 4, 1
    size = arguments.mib * 2**20
    folder = pathlib.Path(tempfile.mkdtemp(prefix='glance-benchmark-'))
    rounds = []
    try:
        make_file(folder / 'source', size)
        with SourceServer() as source:
            source.pages['/large'] = folder / 'source'
            for number in range(arguments.rounds):
                made = {
                    'pipeline': {'wall_s': round(pipeline(f'{source.url}/large', folder, size), 2)}
                }
                for way in arguments.ways:
                    state = folder / f'{way}-{number}'
                    state.mkdir()
                    made[way] = one_round(WAYS[way], source, size, state)
                    made[way]['to_pipeline'] = round(
                        made['pipeline']['wall_s'] / made[way]['wall_s'], 2
                    )
                rounds.append(made)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results = {
        way: {
            f'median_{name}': statistics.median(made[way][name] for made in rounds)
            for name in ('to_pipeline', 'mb_per_s', 'cpu_s_per_gib', 'peak_pss_mib')
        }
        for way in arguments.ways
    }
    results['rounds'] = rounds
    harness.report(arguments, QUESTION, {'mib': arguments.mib, 'database': 'sqlite'}, results)
    return 0


if __name__ == '__main__':
    sys.exit(main())
