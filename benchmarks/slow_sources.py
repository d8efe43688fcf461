"""Are hundreds of slow sources received at once on few threads, and a fast one beside them?

500 sources send 1 KiB each second while one import after another runs from a
fast source. The same imports ran alone before and run alone afterwards, in the same
service; the ratio of the two speeds is what counts. Native threads are those of the
whole process.
"""

import json
import os
import statistics
import sys
import threading
import time

import harness

from glance.testing.source_server import Answer, SourceServer

QUESTION = __doc__.split('\n', 1)[0]
PIECE = b'\x5a' * 2**20
WAYS = {
    'eventlet': {'task': {'task_executor': 'eventlet'}},
    'taskflow-parallel': {'taskflow_executor': {'engine_mode': 'parallel'}},
}


class Slow:
    """Pages of 1 KiB each second, until they are told to end."""

    def __init__(self):
        self.begun = 0
        self._lock = threading.Lock()
        self.over = threading.Event()

    def page(self, _request):
        return Answer(self._pieces(), announced=False)

    def _pieces(self):
        yield PIECE[:1024]
        with self._lock:
            self.begun += 1
        while not self.over.wait(1):
            yield PIECE[:1024]


def one_run(way, sources, mib, imports):
    options = dict(WAYS[way])
    options['taskflow_executor'] = options.get('taskflow_executor', {}) | {
        'max_tasks': sources + 2
    }
    slow = Slow()
    with SourceServer() as source, harness.Service(options, source_port=source.port) as service:
        source.pages['/slow'] = slow.page
        source.pages['/fast'] = lambda _request: Answer([PIECE] * mib)
        _ended(service, _post(service, source, '/fast'))  # warm
        alone = [_fast(service, source, mib) for _ in range(imports)]
        posted = [_post(service, source, '/slow') for _ in range(sources)]
        until = time.monotonic() + 120
        while slow.begun < sources and time.monotonic() < until:
            time.sleep(0.05)
        received_at_once = slow.begun
        beside, threads = [], []
        for _ in range(imports):
            beside.append(_fast(service, source, mib))
            threads.append(len(os.listdir(f'/proc/{service.pid}/task')))
        slow.over.set()
        ends = [_ended(service, task_id) for task_id in posted]
        alone += [_fast(service, source, mib) for _ in range(imports)]
    return {
        'received_at_once': received_at_once,
        'slow_succeeded': ends.count('success'),
        'native_threads': max(threads),
        'ratio': round(_median(alone, 'wall_s') / _median(beside, 'wall_s'), 2),
        'pss_mib': round(_median(beside, 'pss_mib'), 1),
        **{
            f'{when}_{name}': round(_median(made, name), 2)
            for when, made in (('alone', alone), ('beside', beside))
            for name in ('mb_per_s', 'cpu_s', 'harness_cpu_s', 'others_cpu_s')
        },
    }


def _median(made, name):
    return statistics.median(figures[name] for figures in made)


def _fast(service, source, mib):
    """What one fast import took."""
    harness.touch_memory(service.state, mib * len(PIECE))
    with harness.measured(service) as figures:
        if _ended(service, _post(service, source, '/fast')) != 'success':
            raise SystemExit('The fast import failed.')
    figures['mb_per_s'] = mib * len(PIECE) / 1e6 / figures['wall_s']
    return figures


def _post(service, source, path):
    body = {
        'type': 'import',
        'input': {
            'import_from': source.url + path,
            'import_from_format': 'raw',
            'image_properties': {},
        },
    }
    return harness.call(service, 'POST', '/v2/tasks', json.dumps(body))['id']


def _ended(service, task_id):
    while True:
        status = harness.call(service, 'GET', f'/v2/tasks/{task_id}')['status']
        if status in ('success', 'failure'):
            return status
        time.sleep(0.01)


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument('--sources', type=int, default=500)
    parser.add_argument('--mib', type=int, default=512, help='size of the fast image')
    parser.add_argument('--imports', type=int, default=3, help='fast imports, alone and beside')
    parser.add_argument('--ways', nargs='+', choices=list(WAYS), default=list(WAYS))
    arguments = parser.parse_args(argv)
    if arguments.tiny:
        arguments.sources, arguments.mib, arguments.imports = 8, 4, 1
    results = {
        way: one_run(way, arguments.sources, arguments.mib, arguments.imports)
        for way in arguments.ways
    }
    settings = {'sources': arguments.sources, 'bytes_per_s': 1024, 'fast_mib': arguments.mib}
    harness.report(arguments, QUESTION, settings, results)
    return int(any(run['received_at_once'] < arguments.sources for run in results.values()))


if __name__ == '__main__':
    sys.exit(main())
