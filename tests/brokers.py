"""The message brokers of this machine, for tests. Each test has names of its own on them."""

import dataclasses
import importlib
import os
import socket
import urllib.parse
import uuid

import pytest

URLS = {
    'redis': os.environ.get('GLANCE_TEST_REDIS', 'redis://127.0.0.1:6379/0'),
    'amqp': os.environ.get('GLANCE_TEST_AMQP', 'amqp://guest:guest@127.0.0.1:5672//'),
}
PACKAGES = {'redis': 'redis-server', 'amqp': 'rabbitmq-server'}


def import_kombu():
    """kombu, or a skip of the module that asks for it. In CI it has to be there."""
    if os.environ.get('GLANCE_TEST_SERVERS') == 'required':
        return importlib.import_module('kombu')
    return pytest.importorskip(
        'kombu', reason='kombu is not installed; it comes with the extra "workers"'
    )


@dataclasses.dataclass(frozen=True)
class Address:
    transport: str
    url: str
    exchange: str

    def options(self, **more):
        """The section [taskflow_workers] of a process that uses this broker."""
        return {
            'transport': self.transport,
            'address': self.url,
            'exchange': self.exchange,
            **more,
        }


def address(transport, missing):
    """A broker, under a name of its own. missing(sentence) is called where there is none."""
    parts = urllib.parse.urlsplit(URLS[transport])
    try:
        socket.create_connection((parts.hostname, parts.port), 5).close()
    except OSError as error:
        missing(
            f'No {transport} broker answers at {parts.hostname}:{parts.port}: {error}. '
            f'It comes with: apt-get install {PACKAGES[transport]}.'
        )
    return Address(transport, URLS[transport], f'glance-test-{uuid.uuid4().hex[:12]}')
