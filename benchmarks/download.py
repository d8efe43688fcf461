"""How fast is an image downloaded, beside nginx that serves the same file?

One client, then several at once, each reads the whole image and throws it
away. nginx, from its package, with the settings of Debian, and the service
take turns, so that noise meets both. Without nginx only the service is
measured, and the report says so. While clients read, another asks for
/healthcheck all the time: what it waits is what the hub is late.
"""

import contextlib
import http.server
import json
import multiprocessing
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import harness

QUESTION = __doc__.split('\n', 1)[0]
PROCESSES = multiprocessing.get_context('fork')
CONFIG = """\
daemon off;
{user}
worker_processes auto;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 768; }}
http {{
    sendfile on;
    tcp_nopush on;
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


@contextlib.contextmanager
def nginx(root):
    """An nginx that serves this folder: its port, or None where there is none."""
    program = shutil.which('nginx', path=os.environ.get('PATH', '') + ':/usr/sbin')
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix='glance-benchmark-nginx-') as folder:
        port = harness.free_port()
        config = pathlib.Path(folder, 'nginx.conf')
        user = 'user root;' if os.geteuid() == 0 else ''
        config.write_text(CONFIG.format(folder=folder, port=port, root=root, user=user))
        process = subprocess.Popen(
            [program, '-c', config, '-p', folder, '-e', f'{folder}/error.log']
        )
        try:
            _await_port(port)
            yield port
        finally:
            process.terminate()
            process.wait(30)


def _await_port(port):
    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(('127.0.0.1', port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def read_all(port, path, size):
    """GET a path and throw its bytes away; they must be as many as was said."""
    with socket.create_connection(('127.0.0.1', port), 60) as connection:
        connection.sendall(
            f'GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n'.encode()
        )
        buffer = bytearray(2**20)
        view = memoryview(buffer)
        count = connection.recv_into(view)
        head, _, body = bytes(buffer[:count]).partition(b'\r\n\r\n')
        if not head.startswith(b'HTTP/1.1 200 '):
            raise SystemExit(f'{path} was answered {head[:40]}.')
        left = size - len(body)
        while left > 0 and (count := connection.recv_into(view)):
            left -= count
        if left:
            raise SystemExit(f'{path} ended {left} bytes early.')


def megabytes_per_second(port, path, size, clients):
    began = time.monotonic()
    harness.in_threads(clients, lambda _number: read_all(port, path, size))
    return round(clients * size / (time.monotonic() - began) / 1e6)


@contextlib.contextmanager
def probed(service):
    """A list that holds, after the block, the seconds of GET /healthcheck, one after another.

    Asked by a process of its own, which does not wait for the readers of this one.
    """
    took, ended = [], PROCESSES.Event()
    ours, theirs = PROCESSES.Pipe(duplex=False)
    probing = PROCESSES.Process(target=_probe, args=(service.url, ended, theirs))
    probing.start()
    try:
        yield took
    finally:
        ended.set()
        took += ours.recv()
        probing.join()


def _probe(url, ended, report):
    took = []
    while not ended.is_set():
        began = time.perf_counter()
        urllib.request.urlopen(f'{url}/healthcheck').close()
        took.append(time.perf_counter() - began)
    report.send(took)


def import_image(service, source_port):
    """Have the service import /image; returns where it can be downloaded."""
    body = {
        'type': 'import',
        'input': {
            'import_from': f'http://127.0.0.1:{source_port}/image',
            'import_from_format': 'raw',
            'image_properties': {},
        },
    }
    request = urllib.request.Request(
        f'{service.url}/v2/tasks', json.dumps(body).encode(), {'Content-Type': 'application/json'}
    )
    task = json.load(urllib.request.urlopen(request))
    while task['status'] in ('pending', 'processing'):
        time.sleep(0.05)
        task = json.load(urllib.request.urlopen(f'{service.url}/v2/tasks/{task["id"]}'))
    if task['status'] != 'success':
        raise SystemExit(f'The import failed: {task["message"]}')
    return f'/v2/images/{task["result"]["image_id"]}/file'


@contextlib.contextmanager
def source(size):
    """The port of a plain file server with /image of so many bytes."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_arguments):
            pass

    with tempfile.TemporaryDirectory(prefix='glance-benchmark-source-') as folder:
        block = os.urandom(2**20)
        with open(f'{folder}/image', 'wb') as file:
            for begin in range(0, size, len(block)):
                file.write(block[: size - begin])
        server = http.server.ThreadingHTTPServer(
            ('127.0.0.1', 0), lambda *given: Handler(*given, directory=folder)
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()


def rounds(service, path, size, clients, count):
    """So many rounds of nginx and the service in turn, and what they say together."""
    stored = next((service.state / 'state' / 'images').glob('*-*.*'))
    made = []
    with nginx(stored.parent) as nginx_port:
        for _ in range(count):
            figures = {}
            if nginx_port:
                figures['nginx_mb_s'] = megabytes_per_second(
                    nginx_port, f'/{stored.name}', size, clients
                )
            with harness.measured(service) as used:
                figures['mb_s'] = megabytes_per_second(service.port, path, size, clients)
            if nginx_port:
                figures['to_nginx'] = round(figures['mb_s'] / figures['nginx_mb_s'], 2)
            figures['cpu_s_per_gib'] = round(used['cpu_s'] / (clients * size / 2**30), 2)
            figures['others_cpu_s'] = round(used['others_cpu_s'], 2)
            figures['pss_mib'] = round(used['pss_mib'], 1)
            made.append(figures)
        with probed(service) as idle:
            time.sleep(0.5)
        with probed(service) as busy:
            megabytes_per_second(service.port, path, size, clients)
    medians = {
        f'median_{name}': statistics.median(each[name] for each in made)
        for name in ('mb_s', 'nginx_mb_s', 'to_nginx')
        if name in made[0]
    }
    return {
        **medians,
        'healthcheck_idle': harness.milliseconds(idle),
        'healthcheck_meanwhile': harness.milliseconds(busy),
        'rounds': made,
    }


def main(argv=None):
    parser = harness.parser(__doc__)
    parser.add_argument('--size', type=int, default=2**30, help='bytes of the image')
    parser.add_argument('--clients', type=int, nargs='+', default=[1, 8])
    parser.add_argument('--rounds', type=int, default=5)
    arguments = parser.parse_args(argv)
    if arguments.tiny:
        arguments.size, arguments.clients, arguments.rounds = 2**22, [2], 1
    results = {}
    with source(arguments.size) as port, harness.Service({}, source_port=port) as service:
        path = import_image(service, port)
        before = harness.pss_mib(service.pid)
        for clients in arguments.clients:
            results[f'{clients} at once'] = rounds(
                service, path, arguments.size, clients, arguments.rounds
            )
        results['pss_mib'] = {
            'before': round(before, 1),
            'after': round(harness.pss_mib(service.pid), 1),
        }
    compared = all('median_to_nginx' in results[f'{each} at once'] for each in arguments.clients)
    harness.report(
        arguments,
        QUESTION,
        {
            'bytes': arguments.size,
            'clients': arguments.clients,
            'compared': 'nginx, sendfile on' if compared else 'with nothing: nginx is missing',
        },
        results,
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
