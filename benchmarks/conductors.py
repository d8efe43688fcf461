"""Are two conductors on one PostgreSQL slower than one?

glance-api accepts 200 imports of 1 KiB, posted by 8 clients, and runs none
([task] conduct = false); one or two glance-conductor processes run them. The
time is from the first POST to the last end. No source may be asked twice.
"""

import contextlib
import statistics
import sys

import databases
import harness
import small_imports

from glance.testing.source_server import SourceServer

QUESTION = __doc__.split('\n', 1)[0]
NUMBERS = (1, 2)


def one_run(number, imports, clients):
    options = {'task': {'conduct': 'false'}}
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(SourceServer())
        source.pages['/image'] = b'\x5a' * 1024
        database = stack.enter_context(databases.make('postgresql'))
        service = stack.enter_context(
            harness.Service(options | database.options, source_port=source.port)
        )
        pids = [
            stack.enter_context(harness.beside(service, 'conductor', 'Running tasks', one))
            for one in range(number)
        ]
        small_imports.load(service, source, clients * number, clients)  # warm
        asked = len(source.requests)
        used = sum(map(harness.cpu_seconds, pids))
        with harness.measured(service, database.cpu_seconds) as figures:
            small_imports.load(service, source, imports, clients)
        used = sum(map(harness.cpu_seconds, pids)) - used
        asked = len(source.requests) - asked
    return {
        'tasks_per_s': round(imports / figures['wall_s'], 1),
        'run_twice': asked - imports,
        'conductors_cpu_ms_per_task': round(used / imports * 1000, 2),
        'api_cpu_ms_per_task': round(figures['cpu_s'] / imports * 1000, 2),
        'server_cpu_ms_per_task': round(figures['server_cpu_s'] / imports * 1000, 2),
        'others_cpu_s': round(figures['others_cpu_s'] - used, 2),
    }


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument('--imports', type=int, default=200)
    parser.add_argument('--clients', type=int, default=8)
    parser.add_argument('--rounds', type=int, default=3)
    arguments = parser.parse_args(argv)
    if arguments.tiny:
        arguments.imports, arguments.clients, arguments.rounds = 8, 2, 1
    rounds = [
        {number: one_run(number, arguments.imports, arguments.clients) for number in NUMBERS}
        for _ in range(arguments.rounds)
    ]
    results = {
        'two_to_one': round(
            statistics.median(made[2]['tasks_per_s'] / made[1]['tasks_per_s'] for made in rounds),
            2,
        ),
        'run_twice': sum(one['run_twice'] for made in rounds for one in made.values()),
        'rounds': rounds,
    }
    harness.report(
        arguments,
        QUESTION,
        {
            'imports': arguments.imports,
            'clients': arguments.clients,
            'database': databases.described('postgresql'),
        },
        results,
    )
    return 1 if results['run_twice'] else 0


if __name__ == '__main__':
    sys.exit(main())
