"""Do 16 imports of 64 MiB, posted by 8 clients, move as many bytes a second as one of 1 GiB?

One service does both in each round, one after the other; the ratio is of the
same round.
"""

import json
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

import harness
from large_import import WAYS, import_one, make_file

from glance.testing.source_server import SourceServer

QUESTION = __doc__.split('\n', 1)[0]


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument('--mib', type=int, default=1024, help='of all images together')
    parser.add_argument('--images', type=int, default=16)
    parser.add_argument('--clients', type=int, default=8)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--ways', nargs='+', choices=list(WAYS), default=list(WAYS))
    arguments = parser.parse_args(argv)
    if arguments.tiny:
        arguments.mib, arguments.images, arguments.clients, arguments.rounds = 4, 4, 2, 1
    folder = pathlib.Path(tempfile.mkdtemp(prefix='glance-benchmark-'))
    rounds = []
    try:
        make_file(folder / 'one', arguments.mib * 2**20)
        make_file(folder / 'many', arguments.mib * 2**20 // arguments.images)
        with SourceServer() as source:
            source.pages['/one'] = folder / 'one'
            source.pages['/many'] = folder / 'many'
            for _ in range(arguments.rounds):
                rounds.append(
                    {way: one_round(way, source, arguments, folder) for way in arguments.ways}
                )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results = {
        way: {'median_many_to_one': statistics.median(made[way]['many_to_one'] for made in rounds)}
        for way in arguments.ways
    }
    results['rounds'] = rounds
    settings = {name: getattr(arguments, name) for name in ('mib', 'images', 'clients')}
    harness.report(arguments, QUESTION, settings, results)
    return 0


def one_round(way, source, arguments, folder):
    state = pathlib.Path(tempfile.mkdtemp(dir=folder))
    size = arguments.mib * 2**20
    with harness.Service(WAYS[way], source_port=source.port, state=state) as service:
        with harness.measured(service) as one:
            _succeeded(import_one(service, f'{source.url}/one'))

        def client(number):
            for _ in range(number, arguments.images, arguments.clients):
                _succeeded(import_one(service, f'{source.url}/many'))

        time.sleep(0.5)
        with harness.measured(service) as many:
            harness.in_threads(arguments.clients, client)
    return {
        'one_mb_per_s': round(size / one['wall_s'] / 1e6),
        'many_mb_per_s': round(size / many['wall_s'] / 1e6),
        'many_to_one': round(one['wall_s'] / many['wall_s'], 2),
        'others_cpu_s': round(one['others_cpu_s'] + many['others_cpu_s'], 2),
    }


def _succeeded(task):
    if task['status'] != 'success':
        raise SystemExit(json.dumps(task))


if __name__ == '__main__':
    sys.exit(main())
