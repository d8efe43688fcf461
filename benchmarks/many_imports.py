"""Do 16 imports of 64 MiB, posted by 8 clients, move as many bytes a second as one of 1 GiB?

One service does both in each round, one after the other, every other round the
other way round; the ratio is of the same round. Both are asked after alike: by
one list every 20 ms, so that the many are not 400 more requests a second; and
both are given memory that was used before (harness.touch_memory says why).
"""

import http.client
import json
import pathlib
import shutil
import statistics
import sys
import tempfile

import harness
from large_import import WAYS, make_file, wanted

from glance.testing.source_server import SourceServer

QUESTION = __doc__.split('\n', 1)[0]


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument('--mib', type=int, default=1024, help='of all images together')
    parser.add_argument('--images', type=int, default=16)
    parser.add_argument('--clients', type=int, default=8)
    parser.add_argument('--rounds', type=int, default=4)
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
            for number in range(arguments.rounds):
                rounds.append(
                    {
                        way: one_round(way, source, arguments, folder, many_first=bool(number % 2))
                        for way in arguments.ways
                    }
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


def one_round(way, source, arguments, folder, *, many_first):
    state = pathlib.Path(tempfile.mkdtemp(dir=folder))
    size = arguments.mib * 2**20
    measured = {}
    with (
        harness.Service(WAYS[way], source_port=source.port, state=state) as service,
        harness.Asker(service) as asker,
    ):
        posts = {
            'one': lambda: post_in_turn(service, asker, f'{source.url}/one', 1),
            'many': lambda: harness.in_threads(
                arguments.clients,
                lambda number: post_in_turn(
                    service,
                    asker,
                    f'{source.url}/many',
                    len(range(number, arguments.images, arguments.clients)),
                ),
            ),
        }
        for name in sorted(posts, reverse=not many_first):
            harness.touch_memory(folder, size)
            with harness.measured(service) as measured[name]:
                posts[name]()
    one, many = measured['one'], measured['many']
    return {
        'one_mb_per_s': round(size / one['wall_s'] / 1e6),
        'many_mb_per_s': round(size / many['wall_s'] / 1e6),
        'many_to_one': round(one['wall_s'] / many['wall_s'], 2),
        'one_cpu_s': round(one['cpu_s'], 2),
        'many_cpu_s': round(many['cpu_s'], 2),
        'one_others_cpu_s': round(one['others_cpu_s'], 2),
        'many_others_cpu_s': round(many['others_cpu_s'], 2),
    }


def post_in_turn(service, asker, url, times):
    """Import so many times, each once the one before has ended."""
    connection = http.client.HTTPConnection('127.0.0.1', service.port)
    for _ in range(times):
        connection.request('POST', '/v2/tasks', wanted(url), {'Content-Type': 'application/json'})
        task = json.loads(connection.getresponse().read())
        if asker.end_of(task['id']) != 'success':
            raise SystemExit(f'Task {task["id"]} failed.')
    connection.close()


if __name__ == '__main__':
    sys.exit(main())
