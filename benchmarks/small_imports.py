"""How many imports of 1 KiB does each executor finish in a second, and at what cost?

200 imports, posted by 8 clients that keep their connections; the sources are
served by this script on the loopback. A run ends when no task is pending or
processing any more; all of them must have succeeded.
"""

import http.client
import json
import statistics
import sys
import time

import databases
import harness

from glance.testing.source_server import SourceServer

QUESTION = __doc__.split('\n', 1)[0]
WAYS = {
    'eventlet': {'task': {'task_executor': 'eventlet'}},
    'taskflow-serial': {'taskflow_executor': {'engine_mode': 'serial'}},
    'taskflow-parallel': {'taskflow_executor': {'engine_mode': 'parallel'}},
}


def one_run(options, imports, clients, size, database='sqlite'):
    """One service with these options, warmed and measured: a dict of figures."""
    with SourceServer() as source, databases.make(database) as made:
        source.pages['/image'] = b'\x5a' * size
        with harness.Service(options | made.options, source_port=source.port) as service:
            load(service, source, clients, clients)  # warm: the first engine, first statements
            with harness.measured(service, made.cpu_seconds) as figures:
                posts = load(service, source, imports, clients)
            succeeded = len(_get(service, f'/v2/tasks?status=success&limit={imports + clients}'))
    return {
        'succeeded': succeeded - clients,
        'tasks_per_s': round(imports / figures['wall_s'], 1),
        'cpu_ms_per_task': round(figures['cpu_s'] / imports * 1000, 2),
        'server_cpu_ms_per_task': round(figures['server_cpu_s'] / imports * 1000, 2),
        'post': harness.milliseconds(posts),
        'pss_mib': round(figures['pss_mib'], 1),
        'others_cpu_s': round(figures['others_cpu_s'], 2),
        'ready_after_s': round(service.ready_after, 2),
    }


def load(service, source, imports, clients):
    """Post so many imports and wait for their ends; returns the seconds of each POST."""
    body = json.dumps(
        {
            'type': 'import',
            'input': {
                'import_from': f'{source.url}/image',
                'import_from_format': 'raw',
                'image_properties': {'name': 'small'},
            },
        }
    )
    took = []

    def client(number):
        connection = http.client.HTTPConnection('127.0.0.1', service.port)
        for _ in range(number, imports, clients):
            began = time.perf_counter()
            connection.request('POST', '/v2/tasks', body, {'Content-Type': 'application/json'})
            answer = connection.getresponse()
            answer.read()
            took.append(time.perf_counter() - began)
            if answer.status != 201:
                raise SystemExit(f'POST was answered {answer.status}.')
        connection.close()

    harness.in_threads(clients, client)
    while any(
        _get(service, f'/v2/tasks?limit=1&status={status}') for status in ('pending', 'processing')
    ):
        time.sleep(0.1)  # asked for every 20 ms, the lists cost as much as a fifth of the imports
    return took


def _get(service, path):
    connection = http.client.HTTPConnection('127.0.0.1', service.port)
    connection.request('GET', path)
    tasks = json.loads(connection.getresponse().read())['tasks']
    connection.close()
    return tasks


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument('--imports', type=int, default=200)
    parser.add_argument('--clients', type=int, default=8)
    parser.add_argument('--size', type=int, default=1024, help='bytes of each image')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--database', choices=databases.NAMES, default='sqlite')
    parser.add_argument('--ways', nargs='+', choices=list(WAYS), default=list(WAYS))
    arguments = parser.parse_args(argv)
    if arguments.tiny:
        arguments.imports, arguments.clients, arguments.rounds = 8, 2, 1
    runs = {way: [] for way in arguments.ways}
    for _ in range(arguments.rounds):  # one after another, so that noise meets all of them
        for way in arguments.ways:
            runs[way].append(
                one_run(
                    WAYS[way],
                    arguments.imports,
                    arguments.clients,
                    arguments.size,
                    arguments.database,
                )
            )
    results = {
        way: {
            'median_tasks_per_s': statistics.median(run['tasks_per_s'] for run in made),
            'median_cpu_ms_per_task': statistics.median(run['cpu_ms_per_task'] for run in made),
            'rounds': made,
        }
        for way, made in runs.items()
    }
    if 'eventlet' in results:
        for way in results:
            results[way]['cpu_to_eventlet'] = round(
                results[way]['median_cpu_ms_per_task']
                / results['eventlet']['median_cpu_ms_per_task'],
                2,
            )
    harness.report(
        arguments,
        QUESTION,
        {
            'imports': arguments.imports,
            'clients': arguments.clients,
            'bytes': arguments.size,
            'database': databases.described(arguments.database),
        },
        results,
    )
    failed = [
        way for way, made in runs.items() for run in made if run['succeeded'] != arguments.imports
    ]
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
