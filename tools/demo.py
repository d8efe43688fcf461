"""Import one small image into a service of its own, and show how it goes.

    python3 tools/demo.py
    python3 tools/demo.py --executor eventlet
    python3 tools/demo.py --executor taskflow --engine-mode serial

Everything happens on the loopback address, in a temporary folder that is
removed at the end. Exits with 0 when the downloaded image is the source, byte
by byte.
"""

import argparse
import contextlib
import functools
import hashlib
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import environment

START = 60  # seconds the service may take to answer
IMPORT = 60  # seconds the import may take
STOP = 30  # seconds the service may take to stop

CONFIGURATION = """\
[DEFAULT]
state_path = {folder}/state
bind_host = 127.0.0.1
bind_port = {port}

[task]
task_executor = {executor}

[taskflow_executor]
engine_mode = {engine_mode}

[import_filtering_opts]
# The source of this demonstration; without these lines no import may name a
# loopback address or a port other than 80 and 443.
allowed_hosts = 127.0.0.1
allowed_ports = {source_port}
"""


class Problem(Exception):
    """What went wrong, in a sentence."""


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--executor',
        choices=['taskflow', 'eventlet'],
        default='taskflow',
        help='who runs the import (default: taskflow)',
    )
    parser.add_argument(
        '--engine-mode',
        choices=['parallel', 'serial'],
        default='parallel',
        help='how taskflow runs the steps of a flow (default: parallel)',
    )
    options = parser.parse_args()

    python = environment.need('glance-api', ['-e', environment.ROOT])
    if os.path.realpath(sys.prefix) != os.path.realpath(environment.VENV):
        os.execv(python, [python, *sys.argv])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    folder = tempfile.mkdtemp(prefix='glance-demo-')
    try:
        show(folder, options)
    except Problem as problem:
        sys.stdout.flush()
        sys.stderr.write(f'\nThe demonstration failed: {problem}\n')
        sys.stderr.write(log_tail(folder))
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def show(folder, options):
    """The whole story; whatever was started is stopped when it ends."""
    with contextlib.ExitStack() as stack:
        source = make_image(folder)
        web = stack.enter_context(serving(os.path.dirname(source)))
        address = f'http://127.0.0.1:{web}/{os.path.basename(source)}'
        size = os.path.getsize(source)
        environment.say(f'A qcow2 file of {size} bytes is served at {address}')

        port = free_port()
        stack.enter_context(
            glance_api(
                folder,
                port,
                CONFIGURATION.format(
                    folder=folder,
                    port=port,
                    executor=options.executor,
                    engine_mode=options.engine_mode,
                    source_port=web,
                ),
            )
        )
        how = f'{options.executor} executor'
        if options.executor == 'taskflow':
            how += f', {options.engine_mode} engine'
        environment.say(f'glance-api answers at http://127.0.0.1:{port} ({how})')

        task = run_import(port, address)
        image_id = task['result']['image_id']
        download(port, image_id, source)
    environment.say('glance-api is stopped. Done.')


def make_image(folder):
    """A qcow2 file with something in it, in a folder of its own; returns its path."""
    from glance.testing import images

    path = os.path.join(folder, 'source', 'small.qcow2')
    os.mkdir(os.path.dirname(path))
    with open(path, 'wb') as file:
        file.write(images.qcow2(data=os.urandom(200_000)))
    return path


@contextlib.contextmanager
def serving(folder):
    """Serve the files of a folder on loopback; gives the port."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(
        ('127.0.0.1', 0), functools.partial(Handler, directory=folder)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def glance_api(folder, port, configuration):
    """glance-api with this configuration, answering at port; stopped at the end."""
    path = os.path.join(folder, 'glance-api.conf')
    with open(path, 'w') as file:
        file.write(configuration)
    with open(os.path.join(folder, 'glance-api.log'), 'wb') as log:
        service = subprocess.Popen(
            [os.path.join(environment.VENV, 'bin', 'glance-api'), '--config-file', path],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        until = time.monotonic() + START
        while not answers(port):
            if service.poll() is not None:
                raise Problem(
                    f'glance-api ended with status {service.returncode} instead of answering.'
                )
            if time.monotonic() > until:
                raise Problem(f'glance-api did not answer within {START} seconds.')
            time.sleep(0.1)
        yield
    finally:
        stop(service)
    if service.returncode != 0:
        raise Problem(
            f'glance-api ended with status {service.returncode} when it was told to stop.'
        )


def stop(service):
    if service.poll() is None:
        service.terminate()
        try:
            service.wait(STOP)
        except subprocess.TimeoutExpired:
            environment.say(f'glance-api did not stop within {STOP} seconds; it is killed.')
            service.kill()
            service.wait()


def run_import(port, address):
    """Post the task and print it until it has ended; returns it."""
    begun = time.monotonic()
    wanted = {
        'type': 'import',
        'input': {
            'import_from': address,
            'import_from_format': 'qcow2',
            'image_properties': {'name': 'small'},
        },
    }
    environment.say('POST /v2/tasks\n' + json.dumps(wanted, indent=2))
    task = call(port, 'POST', '/v2/tasks', 201, wanted)
    shown = None
    while True:
        now = '{}  {}'.format(task['status'], task['message']).rstrip()
        if now != shown:
            shown = now
            environment.say(
                '{:6.2f} s  task {}  {}'.format(time.monotonic() - begun, task['id'], now)
            )
        if task['status'] == 'success':
            environment.say(json.dumps(task, indent=2, sort_keys=True))
            return task
        if task['status'] == 'failure':
            raise Problem('the task failed: {}'.format(task['message']))
        if time.monotonic() - begun > IMPORT:
            raise Problem(f'the task did not end within {IMPORT} seconds.')
        time.sleep(0.02)
        task = call(port, 'GET', '/v2/tasks/' + task['id'], 200)


def download(port, image_id, source):
    """Get the image and compare it with the source."""
    image = call(port, 'GET', '/v2/images/' + image_id, 200)
    came = call(port, 'GET', f'/v2/images/{image_id}/file', 200, raw=True)
    with open(source, 'rb') as file:
        expected = file.read()
    if came != expected:
        raise Problem(
            f'the {len(came)} downloaded bytes are not the {len(expected)} bytes of the source.'
        )
    if hashlib.sha512(came).hexdigest() != image['os_hash_value']:
        raise Problem('os_hash_value of the image is not the SHA-512 of its bytes.')
    environment.say(
        'Image {} is {}, {} bytes, SHA-512 {}...'.format(
            image_id, image['status'], image['size'], image['os_hash_value'][:16]
        )
    )
    environment.say('The downloaded bytes are those of the source.')


def answers(port):
    try:
        return request(port, 'GET', '/healthcheck')[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def call(port, method, path, expected, body=None, raw=False):
    """One request; returns the answer's JSON, or its bytes. Problem if it is not as expected."""
    try:
        status, answer = request(port, method, path, body)
    except (OSError, http.client.HTTPException) as error:
        raise Problem(f'{method} {path} was not answered: {error}') from error
    if status != expected:
        raise Problem(
            '{} {} was answered with {}: {}'.format(
                method, path, status, answer.decode(errors='replace')
            )
        )
    return answer if raw else json.loads(answer)


def request(port, method, path, body=None):
    # Not urllib: it would ask a proxy for a loopback address if one is configured.
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
    try:
        headers = {'Content-Type': 'application/json'} if body is not None else {}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def log_tail(folder):
    """The last lines that the service wrote, with a heading."""
    try:
        with open(os.path.join(folder, 'glance-api.log'), errors='replace') as file:
            lines = file.readlines()[-40:]
    except OSError:
        return ''
    return 'The last lines of the log of glance-api:\n{}'.format(''.join(lines))


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.stderr.write('\nStopped.\n')
        sys.exit(130)
