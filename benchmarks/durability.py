"""What does it cost that finished steps are remembered, beside persistence = memory?

Imports of 1 KiB, and one of 1 GiB, with the taskflow executor and each value of
[taskflow_executor] persistence, in turn. Ratios are of the same round.
"""

import pathlib
import shutil
import statistics
import sys
import tempfile

import databases
import harness
import large_import
import small_imports

from glance.testing.source_server import SourceServer

QUESTION = __doc__.split('\n', 1)[0]
WAYS = ('memory', 'dir', 'sql')


def one_round(number, arguments, source, folder):
    made = {}
    for way in WAYS[number % 3 :] + WAYS[: number % 3]:  # each is first in turn
        options = {'taskflow_executor': {'persistence': way}}
        state = folder / f'{way}-{number}'
        state.mkdir()
        made[way] = {
            'small': small_imports.one_run(options, arguments.imports, arguments.clients, 1024),
            'large': large_import.one_round(options, source, arguments.mib * 2**20, state),
        }
        shutil.rmtree(state, ignore_errors=True)
    return made


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument('--imports', type=int, default=200)
    parser.add_argument('--clients', type=int, default=8)
    parser.add_argument('--mib', type=int, default=1024)
    parser.add_argument('--rounds', type=int, default=3)
    arguments = parser.parse_args(argv)
    if arguments.tiny:
        arguments.imports, arguments.clients, arguments.mib, arguments.rounds = 4, 2, 4, 1
        large_import.IDLE = 0.1
    folder = pathlib.Path(tempfile.mkdtemp(prefix='glance-benchmark-'))
    try:
        large_import.make_file(folder / 'source', arguments.mib * 2**20)
        with SourceServer() as source:
            source.pages['/large'] = folder / 'source'
            rounds = [
                one_round(number, arguments, source, folder) for number in range(arguments.rounds)
            ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)

    def to_memory(way, kind, name):
        return round(
            statistics.median(
                made[way][kind][name] / made['memory'][kind][name] for made in rounds
            ),
            2,
        )

    results = {
        way: {
            'median_tasks_per_s': statistics.median(
                made[way]['small']['tasks_per_s'] for made in rounds
            ),
            'cpu_per_task_to_memory': to_memory(way, 'small', 'cpu_ms_per_task'),
            'large_seconds_to_memory': to_memory(way, 'large', 'wall_s'),
        }
        for way in WAYS
    }
    results['rounds'] = rounds
    harness.report(
        arguments,
        QUESTION,
        {
            'imports': arguments.imports,
            'clients': arguments.clients,
            'mib': arguments.mib,
            'database': databases.described('sqlite'),
        },
        results,
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
