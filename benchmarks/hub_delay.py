"""How late is the hub, and how much memory is used, while one large image is imported?

The whole application in this process, its source in another. A green thread
that wants to wake up each millisecond notes by how much it is late: alone, and
during the import.
"""

import subprocess
import sys
import tempfile
import time

from glance import threads

threads.use(threads.GREEN)

import harness
from oslo_config import cfg

from glance import bootstrap
from glance.domain.caller import Caller

QUESTION = __doc__.split('\n', 1)[0]
ADMIN = Caller('default', is_admin=True)
TICK = 0.001  # seconds
POLL = 0.02  # seconds between two looks whether an import has ended
PATIENCE = 600  # seconds
SOURCE = """
import sys
from glance.testing.source_server import Answer, SourceServer
piece = b'Z' * 2**20
with SourceServer() as source:
    source.pages['/image'] = lambda _: Answer([piece] * int(sys.argv[1]), announced=False)
    print(source.port, flush=True)
    sys.stdin.read()
"""


class Ticker:
    """Notes how late it wakes up, in seconds, and the memory that is used."""

    def __init__(self):
        import threading

        self.late = []
        self.memory = 0.0
        self._over = False
        self._thread = threading.Thread(target=self._tick)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over = True
        self._thread.join()

    def _tick(self):
        while not self._over:
            began = time.perf_counter()
            time.sleep(TICK)
            self.late.append(time.perf_counter() - began - TICK)
            if len(self.late) % 200 == 0:
                self.memory = max(self.memory, harness.pss_mib('self'))

    @property
    def figures(self):
        return {
            'worst_ms': round(max(self.late) * 1000, 2),
            **harness.milliseconds(self.late),
            'ticks': len(self.late),
            'peak_pss_mib': round(self.memory, 1),
        }


def one_run(executor, mib):
    source = subprocess.Popen(
        [sys.executable, '-W', 'ignore', '-c', SOURCE, str(mib)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with tempfile.TemporaryDirectory(prefix='glance-benchmark-') as folder:
        port = int(source.stdout.readline())
        application = bootstrap.build(_conf(executor, folder, port))
        application.start()
        try:
            _import(application, port)  # warm
            with Ticker() as alone:
                time.sleep(0.5)
            before = harness.all_cpu_seconds()
            with Ticker() as during:
                began = time.monotonic()
                task = _import(application, port)
                took = time.monotonic() - began
        finally:
            application.stop(5)
            source.stdin.close()
            source.wait()
    return {
        'status': str(task.status),
        'mb_per_s': round(mib * 2**20 / 1e6 / took, 1),
        'alone': alone.figures,
        'during': during.figures,
        'all_cpu_s': round(harness.all_cpu_seconds() - before, 2),
    }


def _conf(executor, folder, port):
    conf = cfg.ConfigOpts()
    bootstrap.register_opts(conf)
    conf([], default_config_files=[])
    conf.set_override('state_path', folder)
    conf.set_override('task_executor', executor, 'task')
    conf.set_override('allowed_hosts', ['127.0.0.1'], 'import_filtering_opts')
    conf.set_override('allowed_ports', [port], 'import_filtering_opts')
    return conf


def _import(application, port):
    given = {
        'import_from': f'http://127.0.0.1:{port}/image',
        'import_from_format': 'raw',
        'image_properties': {},
    }
    tasks = application.services.tasks
    task = tasks.create('import', given, by=ADMIN)
    until = time.monotonic() + PATIENCE
    while not (task := tasks.get(task.id, by=ADMIN)).ended:
        if time.monotonic() > until:
            raise SystemExit(f'The import has not ended within {PATIENCE} seconds.')
        time.sleep(POLL)
    if task.result is None:
        raise SystemExit(f'The import failed: {task.message}')
    application.services.images.delete(task.result['image_id'], by=ADMIN)
    return task


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument('--mib', type=int, nargs='+', default=[64, 1024], help='sizes, in turn')
    arguments = parser.parse_args(argv)
    sizes = [8] if arguments.tiny else arguments.mib
    results = {
        f'{executor}, {mib} MiB': one_run(executor, mib)
        for executor in ('taskflow', 'eventlet')
        for mib in sizes
    }
    harness.report(arguments, QUESTION, {'tick_ms': TICK * 1000, 'mib': sizes}, results)
    return int(any(run['status'] != 'success' for run in results.values()))


if __name__ == '__main__':
    sys.exit(main())
