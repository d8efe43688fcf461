"""What do imports cost whose steps a worker does, beside steps in the process itself?

glance-api runs 100 imports of 1 KiB, posted by 8 clients, and then one of 512 MiB: in
parallel mode, and in worker-based mode with one glance-worker on the same machine, over
each kind of broker. It needs a broker of each kind here.
"""

import contextlib
import statistics
import sys
import uuid

import harness
import large_import
import small_imports

from glance.testing.source_server import Answer, SourceServer

QUESTION = __doc__.split('\n', 1)[0]
PIECE = b'\x5a' * 2**20
WAYS = ('parallel', *harness.BROKERS)


def options_of(way):
    if way == 'parallel':
        return small_imports.WAYS['taskflow-parallel']
    return {
        'taskflow_executor': {'engine_mode': 'worker-based'},
        'taskflow_workers': {
            'transport': way,
            'address': harness.BROKERS[way],
            'exchange': f'glance-bench-{uuid.uuid4().hex[:8]}',
        },
    }


def one_run(way, imports, clients, mib):
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(SourceServer())
        source.pages['/image'] = b'\x5a' * 1024
        source.pages['/large'] = lambda _request: Answer([PIECE] * mib)
        service = stack.enter_context(harness.Service(options_of(way), source_port=source.port))
        workers = []
        if way != 'parallel':
            workers.append(
                stack.enter_context(harness.beside(service, 'worker', 'Doing steps as process'))
            )
        small_imports.load(service, source, clients, clients)  # warm
        worker_cpu = sum(map(harness.cpu_seconds, workers))
        with harness.measured(service) as small:
            small_imports.load(service, source, imports, clients)
        worker_cpu = sum(map(harness.cpu_seconds, workers)) - worker_cpu
        harness.touch_memory(service.state, mib * len(PIECE))
        with harness.measured(service) as large:
            task = large_import.import_one(service, f'{source.url}/large')
        if task['status'] != 'success':
            raise SystemExit(task['message'])
    return {
        'tasks_per_s': round(imports / small['wall_s'], 1),
        'service_cpu_ms_per_task': round(small['cpu_s'] / imports * 1000, 2),
        'worker_cpu_ms_per_task': round(worker_cpu / imports * 1000, 2),
        'large_mb_per_s': round(mib * len(PIECE) / large['wall_s'] / 1e6),
        'large_service_cpu_s': round(large['cpu_s'], 2),
    }


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument('--imports', type=int, default=100)
    parser.add_argument('--clients', type=int, default=8)
    parser.add_argument('--mib', type=int, default=512)
    parser.add_argument('--rounds', type=int, default=3)
    arguments = parser.parse_args(argv)
    if arguments.tiny:
        arguments.imports, arguments.clients, arguments.mib, arguments.rounds = 8, 2, 4, 1
    rounds = {way: [] for way in WAYS}
    for _ in range(arguments.rounds):  # one after another, so that noise meets all of them
        for way in WAYS:
            rounds[way].append(one_run(way, arguments.imports, arguments.clients, arguments.mib))
    results = {
        way: {name: statistics.median(one[name] for one in made) for name in made[0]}
        for way, made in rounds.items()
    }
    settings = {'imports': arguments.imports, 'clients': arguments.clients, 'mib': arguments.mib}
    harness.report(arguments, QUESTION, settings, results)


if __name__ == '__main__':
    sys.exit(main())
