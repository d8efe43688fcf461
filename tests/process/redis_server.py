"""A Redis of a test's own."""

import socket
import subprocess

from .conftest import until


class RedisServer:
    """A Redis of the test's own, which it may kill and stop."""

    def __init__(self):
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = probe.getsockname()[1]
        self._start()

    def _start(self):
        self._process = subprocess.Popen(
            [
                *('redis-server', '--bind', '127.0.0.1', '--port', str(self.port)),
                *('--save', '', '--daemonize', 'no'),
            ],
            stdout=subprocess.DEVNULL,
        )
        until(self._answers, 'the start of redis-server')

    def _answers(self):
        with socket.socket() as client:
            return client.connect_ex(('127.0.0.1', self.port)) == 0

    def restart(self):
        """Kill it with all that it holds, and start it again."""
        self.end()
        self._start()

    def keys(self):
        """The names of all keys in it."""
        with socket.create_connection(('127.0.0.1', self.port), 10) as client:
            client.sendall(b'KEYS *\r\n')
            lines = client.makefile('rb')
            count = int(lines.readline()[1:])
            return {lines.read(int(lines.readline()[1:]) + 2)[:-2].decode() for _ in range(count)}

    def signal(self, number):
        self._process.send_signal(number)

    def end(self):
        self._process.kill()
        self._process.wait()
